// States over time: a row each, in colours with their words.

import type uPlot from "uplot";
import { make } from "../page";
import { show } from "../zone";
import { fontOf } from "./axes";
import { fade, inkOn, paint } from "./colour";
import { LegendView } from "./legend";
import type { StatesPicture } from "./model";
import { drawPager } from "./pager";
import { RowedView, type Rows } from "./rowed";
import type { Context, View } from "./view";

/** States are not quite opaque, as areas are. */
const OPACITY = 0.85;
/** Room on both sides of a word. */
const MARGIN_PX = 4;

export class StatesView extends RowedView implements View<"states"> {
  private readonly legend = new LegendView({ choose: () => undefined, point: () => undefined });
  private readonly pager = make("div", "pager");
  private picture: StatesPicture | null = null;
  private axis: Rows | null = null;
  private page = 0;

  constructor(context: Context) {
    super(context);
    context.body.replaceChildren(this.plotBox, this.pager, this.legend.element);
  }

  draw(picture: StatesPicture): void {
    this.picture = picture;
    this.axis = null;
    this.turn();
    this.rebuild();
    this.legend.draw(
      { ...picture.legend, columns: [] },
      picture.states.map(([name, color], place) => ({ place, name, color, calcs: [] })),
      NOTHING,
    );
    this.describe();
  }

  redraw(): void {
    if (this.picture) this.draw(this.picture);
  }

  /** The rows of the page that is shown, from below. */
  private get shown(): StatesPicture["rows"] {
    const { rows, page_rows } = this.picture!;
    const part = page_rows ? rows.slice(this.page * page_rows, (this.page + 1) * page_rows) : rows;
    return [...part].reverse();
  }

  protected rows(): Rows {
    const { from, to } = this.picture!;
    const ends = this.shown.flatMap((row) => row.spans.map((span) => span.from));
    const stops = [...new Set(ends)].sort((a, b) => a - b);
    this.axis ??= { from, to, right: false, label: "", edges: false, names: this.shown.map(({ title }) => title), stops };
    return this.axis;
  }

  protected paint(plot: uPlot): void {
    const { row_height, gap } = this.picture!;
    const { ctx } = plot;
    ctx.font = fontOf().replace(/^(\d+)px/, (_, size) => `${Number(size) * devicePixelRatio}px`);
    ctx.textBaseline = "middle";
    this.shown.forEach((row, y) => {
      const middle = plot.valToPos(y + 0.5, "y", true);
      const height = Math.abs(plot.valToPos(y + 1, "y", true) - plot.valToPos(y, "y", true)) * Math.min(1, row_height || 0.9);
      for (const span of row.spans) {
        const left = Math.max(plot.bbox.left, plot.valToPos(span.from / 1000, "x", true));
        const right = Math.min(plot.bbox.left + plot.bbox.width, plot.valToPos(span.to / 1000, "x", true));
        if (right <= left) continue;
        ctx.fillStyle = fade(span.color, OPACITY);
        ctx.fillRect(left, middle - height / 2, Math.max(1, right - left - gap * devicePixelRatio), height);
        this.word(ctx, span, left, right, middle, height);
      }
    });
  }

  private word(ctx: CanvasRenderingContext2D, { text, color }: { text: string; color: string }, left: number, right: number, middle: number, height: number): void {
    const { show_value, align } = this.picture!;
    const margin = MARGIN_PX * devicePixelRatio;
    const width = ctx.measureText(text).width;
    if (show_value === "never" || height < 10 * devicePixelRatio) return;
    if (show_value === "auto" && width > right - left - 2 * margin) return;
    ctx.fillStyle = inkOn(paint(color).slice(0, 7));
    ctx.textAlign = align;
    const x = align === "left" ? left + margin : align === "right" ? right - margin : (left + right) / 2;
    ctx.fillText(text, x, middle, Math.max(1, right - left - margin));
  }

  protected tell(row: number, at: number): ReturnType<RowedView["tell"]> {
    const found = this.shown[row];
    const span = found?.spans.find((one) => one.from <= at && at < one.to);
    if (!found || !span) return null;
    const title = `${show(span.from, "full")} – ${show(span.to, "full")}`;
    return { title, lines: [{ color: span.color, name: found.title, value: span.text }] };
  }

  private turn(): void {
    const { rows, page_rows } = this.picture!;
    const pages = page_rows ? Math.ceil(rows.length / page_rows) : 1;
    this.page = Math.min(this.page, Math.max(0, pages - 1));
    this.pager.hidden = pages < 2;
    drawPager(this.pager, this.page, pages, (page) => {
      this.page = page;
      this.redraw();
    });
  }

  private describe(): void {
    const words = this.picture!.rows.slice(0, 12).map((row) => `${row.title}: ${row.spans.at(-1)?.text ?? "no state"}`);
    this.plotBox.setAttribute("aria-label", `${this.context.title()}. Now ${words.join("; ")}`);
  }
}

const NOTHING: ReadonlySet<string> = new Set();
