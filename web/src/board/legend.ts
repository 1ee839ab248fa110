// The list of what a picture draws: names, or a table of names and values. A click shows one alone, with Ctrl it comes and goes.

import { make } from "../page";
import type { Calc, Color, Legend } from "./model";
import { swatch } from "./tip";

export interface Entry {
  /** Its place in the picture. */
  place: number;
  name: string;
  color: Color;
  calcs: Calc[];
}

interface Handlers {
  /** Shows one alone, or with `more` switches one. */
  choose(place: number, more: boolean): void;
  /** The pointer or the focus is on one. */
  point(place: number | null): void;
}

export class LegendView {
  readonly element = make("div", "key");
  private sorted: { column: number; falling: boolean } | null = null;
  private legend: Legend | null = null;
  private entries: Entry[] = [];
  private hidden: ReadonlySet<string> = new Set();

  constructor(private readonly handlers: Handlers) {}

  draw(legend: Legend, entries: Entry[], hidden: ReadonlySet<string>): void {
    const same = this.legend !== null && looks(this.legend, this.entries) === looks(legend, entries) && this.hidden === hidden;
    Object.assign(this, { legend, entries, hidden });
    this.element.hidden = legend.mode === "hidden" || entries.length === 0;
    if (this.element.hidden) return this.element.replaceChildren();
    this.element.className = `key ${legend.mode}${legend.right ? " right" : ""}`;
    this.element.style.width = legend.right && legend.width ? `${legend.width}px` : "";
    if (same && !this.sorted) this.write();
    else this.build();
  }

  /** Only the values changed. */
  private write(): void {
    const cells = this.element.querySelectorAll<HTMLElement>("[data-calc]");
    let i = 0;
    for (const entry of this.inOrder()) for (const calc of entry.calcs) cells[i++]!.textContent = calc.text;
  }

  private build(): void {
    const focused = this.element.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.place : undefined;
    const scroll = this.element.scrollTop;
    this.element.replaceChildren(this.legend!.mode === "table" ? this.table() : this.list());
    this.element.scrollTop = scroll;
    if (focused !== undefined) this.element.querySelector<HTMLElement>(`[data-place="${CSS.escape(focused)}"]`)?.focus();
  }

  private list(): HTMLElement {
    const list = make("ul");
    for (const entry of this.inOrder()) {
      const item = make("li");
      item.append(this.button(entry));
      entry.calcs.forEach((calc, i) => {
        const value = make("b", "", calc.text);
        value.dataset.calc = "";
        item.append(make("small", "", `${this.legend!.columns[i] ?? ""}:`), value);
      });
      list.append(item);
    }
    return list;
  }

  private table(): HTMLElement {
    const table = make("table");
    const head = table.createTHead().insertRow();
    ["Name", ...this.legend!.columns].forEach((title, column) => head.append(this.heading(title, column)));
    const body = table.createTBody();
    for (const entry of this.inOrder()) {
      const row = body.insertRow();
      row.insertCell().append(this.button(entry));
      for (const calc of entry.calcs) {
        const cell = row.insertCell();
        cell.textContent = calc.text;
        cell.dataset.calc = "";
      }
    }
    return table;
  }

  private heading(title: string, column: number): HTMLElement {
    const heading = make("th");
    heading.scope = "col";
    const button = make("button", "sort", title);
    button.type = "button";
    button.dataset.place = `head-${column}`;
    const falling = this.sorted?.column === column ? this.sorted.falling : null;
    if (falling !== null) heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    button.addEventListener("click", () => {
      // Values are looked at from the greatest on, names from the first.
      this.sorted = { column, falling: falling === null ? column > 0 : !falling };
      this.build();
    });
    heading.append(button);
    return heading;
  }

  private button(entry: Entry): HTMLElement {
    const { place, name, color } = entry;
    const button = make("button");
    button.type = "button";
    button.dataset.place = String(place);
    button.title = `${name}: click to show it alone, with Ctrl to show or hide it`;
    button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    button.append(swatch(color), make("span", "", name));
    button.addEventListener("click", (event) => this.handlers.choose(place, event.ctrlKey || event.metaKey || event.shiftKey));
    button.addEventListener("mouseenter", () => this.handlers.point(place));
    button.addEventListener("mouseleave", () => this.handlers.point(null));
    return button;
  }

  private inOrder(): Entry[] {
    if (!this.sorted) return this.entries;
    const { column, falling } = this.sorted;
    const turn = falling ? -1 : 1;
    const value = (entry: Entry) => entry.calcs[column - 1]?.n ?? -Infinity;
    const byName = (a: Entry, b: Entry) => a.name.localeCompare(b.name, "en", { numeric: true });
    return [...this.entries].sort((a, b) => turn * (column === 0 ? byName(a, b) : value(a) - value(b)));
  }
}

/** What is hidden after a choice among all names. */
export function choose(names: string[], hidden: ReadonlySet<string>, chosen: string, more: boolean): Set<string> {
  if (more) {
    const next = new Set(hidden);
    if (!next.delete(chosen)) next.add(chosen);
    return next;
  }
  const others = names.filter((name) => name !== chosen);
  const isAlone = !hidden.has(chosen) && others.every((name) => hidden.has(name));
  return new Set(isAlone ? [] : others);
}

function looks(legend: Legend, entries: Entry[]): string {
  return JSON.stringify([legend, entries.map(({ place, name, color }) => [place, name, color])]);
}
