// What hovering shows: a time or a name, and lines of colour, name and value. One for each panel, above everything.

import type uPlot from "uplot";
import { make } from "../page";
import { css } from "./colour";
import type { Color, Link } from "./model";

/** Lines; more would not be read. */
const LINES_MAX = 20;
/** Lines of a tooltip that follows another panel's crosshair. */
const SHARED_LINES_MAX = 4;
/** Distance to the pointer, and to the window's edge. */
const APART_PX = 14;
const EDGE_PX = 6;

export interface TipLine {
  color?: Color;
  name: string;
  value: string;
  /** The value in full, where that says more. */
  full?: string;
  /** The one that the pointer is nearest to. */
  near?: boolean;
}

export class Tip {
  private readonly element = make("div", "tip");
  private pinned = false;

  constructor() {
    this.element.hidden = true;
    this.element.setAttribute("role", "status");
  }

  get isShown(): boolean {
    return !this.element.hidden;
  }

  get isPinned(): boolean {
    return this.pinned;
  }

  /** Beside a place in the window. */
  show(x: number, y: number, title: string, lines: TipLine[], most = LINES_MAX): void {
    if (this.pinned) return;
    this.fill(title, lines, most);
    if (!this.element.isConnected) document.body.append(this.element);
    this.element.hidden = false;
    this.move(x, y);
  }

  hide(): void {
    if (!this.pinned) this.element.hidden = true;
  }

  /** Holds still, with links to follow. */
  pin(links: Link[]): void {
    if (this.pinned || this.element.hidden || links.length === 0) return;
    this.pinned = true;
    this.element.classList.add("pinned");
    this.element.append(...links.map(anchor));
  }

  unpin(): void {
    this.pinned = false;
    this.element.classList.remove("pinned");
    this.element.hidden = true;
  }

  remove(): void {
    this.element.remove();
  }

  private fill(title: string, lines: TipLine[], most: number): void {
    const rows = lines.slice(0, most).map(({ color, name, value, full, near }) => {
      const row = make("p", near ? "near" : "");
      row.append(swatch(color ?? "muted"), make("span", "", name), make("b", "", value), make("small", "", full ?? ""));
      return row;
    });
    const rest = lines.length - most;
    this.element.replaceChildren(make("p", "when", title), ...rows, ...(rest > 0 ? [make("p", "hint", `${rest} more`)] : []));
  }

  private move(x: number, y: number): void {
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const right = x + APART_PX + width + EDGE_PX < innerWidth;
    const left = right ? x + APART_PX : Math.max(EDGE_PX, x - APART_PX - width);
    const top = Math.max(EDGE_PX, Math.min(y + APART_PX, innerHeight - height - EDGE_PX));
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}

/** At a plot's crosshair. Plots that follow another one's say less, and nothing out of sight. */
export function showAt(tip: Tip, plot: uPlot, title: string, lines: TipLine[], mine: boolean): void {
  const { left, top, bottom } = plot.over.getBoundingClientRect();
  const x = left + (plot.cursor.left ?? 0);
  if (mine) tip.show(x, top + Math.max(0, plot.cursor.top ?? 0), title, lines);
  else if (bottom > 0 && top < innerHeight && lines.length > 0) tip.show(x, top, title, lines, SHARED_LINES_MAX);
  else tip.hide();
}

export function swatch(color: Color): HTMLElement {
  const mark = make("i", "swatch");
  mark.style.color = css(color);
  return mark;
}

/** A link of a dashboard; its address was looked at by the server. */
export function anchor({ title, href, new_tab }: Link): HTMLAnchorElement {
  const link = make("a", "", title || href);
  link.href = href;
  if (new_tab) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return link;
}
