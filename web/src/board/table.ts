// Rows and columns: sorted by a click, filtered by words, cut into pages or drawn only where they are seen.

import { make } from "../page";
import { fill } from "./bars";
import { css, inkOn, legible } from "./colour";
import type { Cell, TableColumn, TablePicture } from "./model";
import { drawPager } from "./pager";
import { anchor } from "./tip";
import type { Context, View } from "./view";

/** Rows above which only the ones near the window are elements. */
const VIRTUAL_FROM = 200;
/** Rows kept above and below what is seen. */
const MARGIN_ROWS = 20;
/** Rows from which on a filter is offered. */
const FILTER_FROM = 12;
/** Columns of texts are not cut below this width: a table that still does not fit is scrolled. */
const TEXT_PX_MIN = 90;
const ROW_PX = { sm: 28, md: 36, lg: 48, auto: 28 } as const;
const CONTRAST = 4.5;

export class TableView implements View<"table"> {
  private readonly scroll = make("div", "scroll");
  private readonly tools = make("div", "table-tools");
  private readonly filter = make("input");
  private readonly frames = make("select");
  private readonly pager = make("div", "pager");
  private readonly count = make("span", "hint");
  private picture: TablePicture | null = null;
  private rows: Cell[][] = [];
  private sorted: { column: number; falling: boolean } | null = null;
  private page = 0;
  private body: HTMLTableSectionElement | null = null;
  private drawnFrom = -1;
  private readonly observer = new ResizeObserver(() => {
    this.fill();
    if (this.picture) this.fit();
  });

  constructor(private readonly context: Context) {
    this.filter.type = "search";
    this.filter.placeholder = "Filter rows";
    this.filter.setAttribute("aria-label", "Filter rows");
    this.filter.addEventListener("input", () => this.arrange());
    this.frames.setAttribute("aria-label", "Which answer");
    this.frames.addEventListener("change", () => context.chooseFrame(Number(this.frames.value)));
    this.tools.append(this.frames, this.filter, this.count, this.pager);
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "region");
    this.scroll.addEventListener("scroll", () => this.fill(), { passive: true });
    context.body.replaceChildren(this.tools, this.scroll);
    this.observer.observe(this.scroll);
  }

  draw(picture: TablePicture): void {
    const titles = (of: TablePicture | null) => JSON.stringify(of?.columns.map(({ title }) => title));
    if (titles(picture) !== titles(this.picture)) this.sorted = null;
    this.picture = picture;
    this.scroll.setAttribute("aria-label", `${this.context.title()}: table`);
    const { frames = [], frame } = picture;
    this.frames.hidden = frames.length < 2;
    this.frames.replaceChildren(...frames.map((name, i) => new Option(name, String(i), false, i === frame)));
    this.tools.hidden = picture.rows.length < FILTER_FROM && !picture.pages && this.frames.hidden;
    this.filter.hidden = picture.rows.length < FILTER_FROM && !picture.columns.some((column) => column.filterable);
    this.build();
    this.arrange(false);
  }

  redraw(): void {
    if (this.picture) this.draw(this.picture);
  }

  remove(): void {
    this.observer.disconnect();
  }

  private get rowHeight(): number {
    return ROW_PX[this.picture?.height ?? "sm"];
  }

  private build(): void {
    const { columns, headless, footer } = this.picture!;
    const table = make("table", `grid-table ${this.picture!.height}`);
    if (!headless) {
      const head = table.createTHead().insertRow();
      columns.forEach((column, i) => head.append(this.heading(column, i)));
    }
    this.body = table.createTBody();
    if (footer) {
      const foot = table.createTFoot().insertRow();
      footer.forEach((text, i) => (foot.insertCell().textContent = text) && foot.cells[i]!.classList.add(columns[i]?.align ?? "left"));
    }
    const { scrollTop, scrollLeft } = this.scroll;
    this.scroll.replaceChildren(table);
    this.scroll.scrollTo(scrollLeft, scrollTop);
  }

  private heading(column: TableColumn, i: number): HTMLElement {
    const heading = make("th", column.align);
    heading.scope = "col";
    if (column.width) heading.style.width = `${column.width}px`;
    if (column.width_min) heading.style.minWidth = `${column.width_min}px`;
    const state = this.sorted ? (this.sorted.column === i ? (this.sorted.falling ? -1 : 1) : 0) : column.sorted;
    if (state !== 0) heading.setAttribute("aria-sort", state < 0 ? "descending" : "ascending");
    const button = make("button", "sort", column.title);
    button.type = "button";
    button.addEventListener("click", () => this.sort(i, state));
    heading.append(button);
    return heading;
  }

  private sort(column: number, state: number): void {
    this.sorted = { column, falling: state === 1 };
    this.build();
    this.arrange();
    this.scroll.querySelectorAll<HTMLElement>("thead button")[column]?.focus();
  }

  /** Which rows, in which order. */
  private arrange(rewind = true): void {
    const { rows, pages, omitted } = this.picture!;
    const words = this.filter.hidden ? [] : this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (row: Cell[]) => {
      const text = row.map(({ t }) => t).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    this.rows = words.length > 0 ? rows.filter(matches) : rows;
    if (this.sorted) this.rows = sortRows(this.rows, this.sorted);
    if (rewind) [this.page, this.scroll.scrollTop] = [0, 0];
    const rest = omitted > 0 ? `, ${omitted} more on the server` : "";
    this.count.textContent = `${this.rows.length} of ${rows.length} rows${rest}`;
    this.pager.hidden = !pages;
    this.drawnFrom = -1;
    this.fill();
    this.fit();
  }

  /** Cuts texts where not all columns have room, so that numbers stay whole. */
  private fit(): void {
    const table = this.scroll.querySelector("table");
    const heads = [...this.scroll.querySelectorAll<HTMLElement>("thead th")];
    const isText = (i: number) => this.picture!.columns[i]?.align === "left" && !this.picture!.columns[i]?.width;
    if (!table || heads.length === 0) return;
    table.classList.remove("tight");
    heads.forEach((head, i) => isText(i) && head.style.removeProperty("width"));
    // Whole pixels: half a one less, and a text is cut.
    const natural = heads.map((head) => Math.ceil(head.getBoundingClientRect().width));
    const texts = natural.filter((_, i) => isText(i));
    const room = this.scroll.clientWidth - natural.reduce((sum, width, i) => sum + (isText(i) ? 0 : width), 0);
    if (this.scroll.scrollWidth <= this.scroll.clientWidth || room < texts.length * TEXT_PX_MIN) return;
    const most = widest(texts, room);
    heads.forEach((head, i) => (head.style.width = `${isText(i) ? Math.min(natural[i]!, most) : natural[i]!}px`));
    table.classList.add("tight");
  }

  /** Makes elements of the rows that are seen. */
  private fill(): void {
    if (!this.picture || !this.body) return;
    const seen = Math.max(1, Math.ceil(this.scroll.clientHeight / this.rowHeight) - (this.picture.headless ? 0 : 1));
    if (this.picture.pages) return this.fillPage(Math.max(1, seen - 1));
    if (this.rows.length < VIRTUAL_FROM) {
      if (this.drawnFrom !== 0) this.body.replaceChildren(...this.rows.map((row) => this.row(row)));
      this.drawnFrom = 0;
      return;
    }
    const first = Math.floor(this.scroll.scrollTop / this.rowHeight);
    const from = Math.max(0, first - MARGIN_ROWS);
    if (this.drawnFrom >= 0 && Math.abs(from - this.drawnFrom) < MARGIN_ROWS / 2) return;
    this.drawnFrom = from;
    const to = Math.min(this.rows.length, first + seen + MARGIN_ROWS);
    this.body.replaceChildren(this.spacer(from), ...this.rows.slice(from, to).map((row) => this.row(row)), this.spacer(this.rows.length - to));
  }

  private fillPage(size: number): void {
    const pages = Math.max(1, Math.ceil(this.rows.length / size));
    this.page = Math.min(this.page, pages - 1);
    this.body!.replaceChildren(...this.rows.slice(this.page * size, (this.page + 1) * size).map((row) => this.row(row)));
    drawPager(this.pager, this.page, pages, (page) => {
      this.page = page;
      this.fillPage(size);
    });
  }

  /** Stands for rows that are not elements. */
  private spacer(rows: number): HTMLElement {
    const row = make("tr", "spacer");
    row.setAttribute("aria-hidden", "true");
    row.style.height = `${rows * this.rowHeight}px`;
    return row;
  }

  private row(cells: Cell[]): HTMLTableRowElement {
    const row = make("tr");
    const whole = cells.find((cell, i) => cell.c && this.picture!.columns[i]?.look === "row");
    if (whole?.c) paintGround(row, whole.c);
    cells.forEach((cell, i) => {
      const column = this.picture!.columns[i];
      if (column) row.append(drawCell(cell, column, this.picture!.headless ? "" : column.title));
    });
    return row;
  }
}

/** The width at which columns are cut so that all together have room: narrower ones stay whole. */
function widest(widths: number[], room: number): number {
  let [rest, columns] = [room, widths.length];
  for (const width of [...widths].sort((a, b) => a - b)) {
    if (width * columns > rest) break;
    rest -= width;
    columns--;
  }
  return columns > 0 ? Math.floor(rest / columns) : Infinity;
}

function drawCell(cell: Cell, column: TableColumn, title: string): HTMLTableCellElement {
  const element = make("td", column.align);
  element.dataset.title = title;
  if (column.look === "ground" && cell.c) paintGround(element, cell.c);
  if (column.look === "text" && cell.c) element.style.color = legible(cell.c, CONTRAST);
  if (column.look === "gauge" && cell.part !== undefined) {
    const track = make("div", "track unfilled");
    track.append(fill(cell.part, cell.c ?? "s0", [], column.bar ?? "basic", false));
    const box = make("div", "cell-bar");
    box.append(track, make("b", "", cell.t));
    element.append(box);
    return element;
  }
  const [link, ...more] = cell.links ?? [];
  if (link) element.append(anchor({ ...link, title: cell.t || link.title }), ...more.map(anchor));
  else element.textContent = cell.t;
  element.title = cell.t;
  return element;
}

function paintGround(element: HTMLElement, color: string): void {
  element.style.background = css(color);
  element.style.color = inkOn(color);
}

/** Numbers by size and texts by their letters; what is neither stays behind. */
function sortRows(rows: Cell[][], { column, falling }: { column: number; falling: boolean }): Cell[][] {
  const turn = falling ? -1 : 1;
  const compare = (a: Cell | undefined, b: Cell | undefined): number => {
    if (a?.n !== undefined && b?.n !== undefined) return turn * (a.n - b.n);
    if (a?.n !== undefined || b?.n !== undefined) return a?.n !== undefined ? -1 : 1;
    return turn * (a?.t ?? "").localeCompare(b?.t ?? "", "en", { numeric: true });
  };
  return [...rows].sort((a, b) => compare(a[column], b[column]));
}
