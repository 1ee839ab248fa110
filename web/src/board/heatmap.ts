// Buckets over time, in colours.

import type uPlot from "uplot";
import { make } from "../page";
import { show } from "../zone";
import { css, isDark, paint } from "./colour";
import { write } from "./format";
import type { Color, HeatmapPicture } from "./model";
import { RowedView, type Rows } from "./rowed";
import type { Context, View } from "./view";

export class HeatmapView extends RowedView implements View<"heatmap"> {
  private readonly scale = make("div", "scale");
  /** As the theme wants them. */
  private colors: Color[] = [];
  private picture: HeatmapPicture | null = null;
  private axis: Rows | null = null;

  constructor(context: Context) {
    super(context);
    context.body.replaceChildren(this.plotBox, this.scale);
  }

  draw(picture: HeatmapPicture): void {
    this.picture = picture;
    this.axis = null;
    this.colors = picture.turned === (isDark() ? "dark" : "light") ? [...picture.colors].reverse() : picture.colors;
    this.rebuild();
    this.drawScale();
    this.describe();
  }

  redraw(): void {
    if (this.picture) this.draw(this.picture);
  }

  protected rows(): Rows {
    const { from, to, rows, right, label = "", start, step, count, y_format } = this.picture!;
    this.axis ??= {
      from,
      to,
      right,
      label,
      names: rows.map(({ name, high }) => (high === null ? name : write(high, y_format))),
      edges: rows.some(({ high }) => high !== null),
      stops: Array.from({ length: count }, (_, i) => start + i * step),
    };
    return this.axis;
  }

  protected paint(plot: uPlot): void {
    const { rows, start, step, count, gap } = this.picture!;
    const paints = this.colors.map(paint);
    const edges = Array.from({ length: count + 1 }, (_, i) => Math.round(plot.valToPos((start + i * step) / 1000, "x", true)));
    const between = gap * devicePixelRatio;
    rows.forEach((row, y) => {
      const bottom = Math.round(plot.valToPos(y, "y", true));
      const top = Math.round(plot.valToPos(y + 1, "y", true));
      for (let i = 0; i < count; i++) {
        const color = paints[row.c[i] ?? -1];
        if (color === undefined) continue;
        plot.ctx.fillStyle = color;
        const width = edges[i + 1]! - edges[i]!;
        plot.ctx.fillRect(edges[i]!, top, Math.max(1, width - between), Math.max(1, bottom - top - between));
      }
    });
  }

  protected tell(row: number, at: number): ReturnType<RowedView["tell"]> {
    const { rows, start, step, format, tooltip } = this.picture!;
    const column = Math.floor((at - start) / step);
    const value = rows[row]?.v[column] ?? null;
    if (!tooltip || value === null) return null;
    const title = `${show(start + column * step, "full")} – ${show(start + (column + 1) * step, "seconds")}`;
    return { title, lines: [{ color: this.colors[rows[row]!.c[column] ?? -1], name: this.bucket(row), value: write(value, format) }] };
  }

  /** `250 ms – 500 ms`, or the bucket's own name. */
  private bucket(row: number): string {
    const { rows, y_format } = this.picture!;
    const { name, low, high } = rows[row]!;
    if (low === null && high === null) return name;
    return `${low === null ? "" : write(low, y_format)} – ${high === null ? "∞" : write(high, y_format)}`;
  }

  private drawScale(): void {
    const { legend, min, max, format } = this.picture!;
    this.scale.hidden = !legend;
    const bar = make("i");
    bar.style.background = `linear-gradient(to right, ${this.colors.map(css).join(", ")})`;
    this.scale.replaceChildren(make("span", "", write(min, format)), bar, make("span", "", write(max, format)));
  }

  private describe(): void {
    const { rows, format } = this.picture!;
    let [most, at] = [-Infinity, 0];
    rows.forEach((row, i) => row.v.forEach((value) => value !== null && value > most && ([most, at] = [value, i])));
    const words = most === -Infinity ? "no values" : `highest ${write(most, format)} in ${this.bucket(at)}`;
    this.plotBox.setAttribute("aria-label", `${this.context.title()}. Heatmap of ${rows.length} buckets, ${words}`);
  }
}
