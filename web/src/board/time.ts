// Lines, bars and points over time.

import uPlot from "uplot";
import { make } from "../page";
import { zoom, zoomOut } from "../range";
import { attachTouch, zoomToSelection } from "../touch";
import { show } from "../zone";
import { axesOf, limitAreas, limitLines, scalesOf } from "./axes";
import { write } from "./format";
import { Hover } from "./hover";
import { type Entry, LegendView, choose } from "./legend";
import { bandsOf, edgesOf, lineOptions, looksOf } from "./lines";
import { drawMarks, tellMarks } from "./marks";
import type { Format, Mark, Series, TimePicture } from "./model";
import { columns, join, timesOf } from "./stack";
import { Tip, type TipLine, showAt } from "./tip";
import type { Context, View } from "./view";

/** How long the crosshair rests before the values under it are asked for in full. */
const REST_MS = 120;
/** Parts of the height below which a legend stays. */
const LEGEND_PART = 0.4;
/** Digits of a value in full: what is behind them is noise of divisions. */
const FULL_DIGITS = 12;
/** Series that a summary for screen readers names. */
const SUMMARY_MAX = 8;
/** Pixels that a click may move. */
const CLICK_SLACK_PX = 3;

export class TimeView implements View<"time"> {
  private readonly plotBox = make("div", "plot");
  private readonly legend: LegendView;
  private readonly tip = new Tip();
  private plot: uPlot | null = null;
  private picture: TimePicture | null = null;
  private looks = "";
  private times: number[] = [];
  private hidden: ReadonlySet<string> = new Set();
  private rest: number | undefined;
  /** Values in full, by time, of what is drawn. */
  private full = new Map<number, (number | null)[]>();
  private readonly hover = new Hover(this.plotBox, this.tip);
  private readonly observer = new ResizeObserver(() => this.resize());

  constructor(private readonly context: Context) {
    this.plotBox.tabIndex = 0;
    this.plotBox.setAttribute("role", "img");
    this.legend = new LegendView({ choose: (place, more) => this.choose(place, more), point: (place) => this.point(place) });
    context.body.replaceChildren(this.plotBox, this.legend.element);
    this.plotBox.addEventListener("keydown", (event) => this.key(event));
    this.plotBox.addEventListener("blur", () => this.leave());
    this.observer.observe(this.plotBox);
  }

  draw(picture: TimePicture): void {
    const looks = looksOf(picture);
    const resting = this.tip.isShown ? { ...this.plot?.cursor } : null;
    this.picture = picture;
    this.times = timesOf(picture);
    this.full = new Map();
    // The legend first: it decides how much room the plot has.
    this.drawLegend();
    if (this.plot && looks === this.looks) this.plot.setData(this.data());
    else this.rebuild();
    this.looks = looks;
    this.describe();
    // uPlot knows its new scales when its own microtask has run, which it has queued before this one.
    if (resting) queueMicrotask(() => this.plot?.setCursor({ left: resting.left ?? -10, top: resting.top ?? -10 }));
  }

  /** The picture with a tail; `null` where it has to be asked for as a whole. */
  joined(tail: TimePicture): TimePicture | null {
    return this.picture ? join(this.picture, tail) : null;
  }

  /** The time from which on a tail tells what may have changed. */
  get tailFrom(): number | null {
    return this.times.at(-2) ?? null;
  }

  redraw(): void {
    if (this.picture) this.rebuild();
  }

  remove(): void {
    this.observer.disconnect();
    this.hover.remove();
    window.clearTimeout(this.rest);
    this.plot?.destroy();
    this.tip.remove();
  }

  private isShown = (series: Series): boolean => !this.hidden.has(series.name) && !series.hide?.includes("picture");

  private marks(): Mark[] {
    return [...this.context.marks(), ...(this.picture!.exemplars ?? [])];
  }

  private data(): uPlot.AlignedData {
    const drawn = columns(this.picture!, this.isShown);
    return [this.times.map((at) => at / 1000), ...drawn] as uPlot.AlignedData;
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plotBox.replaceChildren();
    this.plot = new uPlot(this.options(), this.data(), this.plotBox);
    this.plot.over.addEventListener("dblclick", () => zoomOut());
    this.plot.over.addEventListener("click", (event) => this.click(event));
    attachTouch(this.plot);
  }

  private options(): uPlot.Options {
    const picture = this.picture!;
    const shown = picture.series.map(this.isShown);
    const { thresholds } = picture;
    return {
      width: this.plotBox.clientWidth || 300,
      height: this.plotBox.clientHeight || 150,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.context.zone()),
      padding: [6, 16, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: this.context.sync, scales: ["x", null] },
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
      },
      focus: { alpha: 0.25 },
      scales: scalesOf(picture),
      axes: axesOf(picture),
      series: [{}, ...picture.series.map((_, i) => lineOptions(picture, i, shown[i]!)), ...edgesOf(picture, shown)],
      bands: bandsOf(picture, shown),
      hooks: {
        drawClear: thresholds ? [(plot) => limitAreas(plot, thresholds)] : [],
        drawAxes: thresholds ? [(plot) => limitLines(plot, thresholds)] : [],
        draw: [(plot) => drawMarks(plot, this.marks())],
        setCursor: [(plot) => this.follow(plot)],
        setSelect: [zoomToSelection],
      },
    };
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.plotBox;
    if (this.plot && width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  private drawLegend(): void {
    const { legend, series } = this.picture!;
    this.context.body.classList.toggle("beside", legend.right);
    const entries: Entry[] = legend.order.flatMap((place) => {
      const one = series[place];
      return one ? [{ place, name: one.name, color: one.color, calcs: one.calcs ?? [] }] : [];
    });
    this.legend.draw(legend, entries, this.hidden);
    this.legend.element.style.maxHeight = legend.right ? "" : `${LEGEND_PART * 100}%`;
  }

  private choose(place: number, more: boolean): void {
    const { series } = this.picture!;
    this.hidden = choose(series.map(({ name }) => name), this.hidden, series[place]!.name, more);
    this.drawLegend();
    this.rebuild();
  }

  private point(place: number | null): void {
    this.plot?.setSeries(place === null ? null : place + 1, { focus: true });
  }

  private follow(plot: uPlot): void {
    const index = plot.cursor.idx ?? null;
    const inside = index !== null && (plot.cursor.left ?? -1) >= 0;
    const mine = this.hover.inside || document.activeElement === this.plotBox;
    window.clearTimeout(this.rest);
    if (!inside || this.picture!.tooltip.mode === "none" || !(mine || this.context.sharesTip())) return this.tip.hide();
    this.fillTip(plot, index, mine);
    if (mine && !this.full.has(this.times[index]!)) this.rest = window.setTimeout(() => void this.complete(plot, index), REST_MS);
  }

  /** Puts the full values into the tooltip, if the crosshair still is where they were asked for. */
  private async complete(plot: uPlot, index: number): Promise<void> {
    const { full } = this;
    const at = this.times[index]!;
    const exact = await this.context.exact(at);
    if (!exact || exact.count === 0 || exact.shape !== this.picture!.shape) return; // The rounded values stay.
    full.set(at, exact.series.map((series) => series.v[0] ?? null));
    if (full === this.full && this.tip.isShown && plot.cursor.idx === index) this.fillTip(plot, index, true);
  }

  private fillTip(plot: uPlot, index: number, mine: boolean): void {
    const { tooltip, series } = this.picture!;
    const at = this.times[index]!;
    const near = this.nearest(plot, index);
    const lines: (TipLine & { n: number })[] = [];
    series.forEach((one, i) => {
      const rounded = one.v[index] ?? null;
      const value = this.full.get(at)?.[i] ?? rounded;
      if (value === null || !this.isShown(one) || one.hide?.includes("tooltip")) return;
      if (tooltip.hide_zeros && value === 0) return;
      if (tooltip.mode === "single" && i !== near) return;
      const text = write(value, tooltip.formats[one.format]);
      lines.push({ color: one.color, name: one.name, value: text, full: bandAt(one, index, tooltip.formats[one.format]) || inFull(value, text, this.full.has(at)), near: i === near, n: value });
    });
    if (tooltip.sort !== "none") lines.sort((a, b) => (tooltip.sort === "asc" ? a.n - b.n : b.n - a.n));
    // The last step may still run: it ends now, not when it will be over.
    showAt(this.tip, plot, show(Math.min(at, Date.now()), "full"), [...tellMarks(plot, this.marks()), ...lines], mine);
  }

  /** The series whose drawn value is nearest to the pointer. */
  private nearest(plot: uPlot, index: number): number {
    const top = plot.cursor.top ?? 0;
    let [found, least] = [-1, Infinity];
    this.picture!.series.forEach((series, i) => {
      const value = plot.data[i + 1]?.[index];
      if (value === null || value === undefined || !this.isShown(series)) return;
      const apart = Math.abs(plot.valToPos(value, `y${series.axis}`) - top);
      if (apart < least) [found, least] = [i, apart];
    });
    return found;
  }

  /** A click without a drag keeps the tooltip, where there are links to follow. */
  private click(event: MouseEvent): void {
    const plot = this.plot!;
    if (this.tip.isPinned) return this.tip.unpin();
    if (plot.select.width > CLICK_SLACK_PX || event.detail > 1 || plot.cursor.idx === null || plot.cursor.idx === undefined) return;
    this.tip.pin(this.picture!.series[this.nearest(plot, plot.cursor.idx)]?.links ?? []);
  }

  private key(event: KeyboardEvent): void {
    const plot = this.plot;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.times.length - 1;
    const index = plot.cursor.idx ?? last;
    const steps: Record<string, number> = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last };
    const wanted = steps[event.key];
    if (wanted !== undefined) this.putCursor(plot, Math.max(0, Math.min(last, wanted)));
    else if (event.key === "-") zoomOut();
    else if (event.key === "+" || event.key === "=") this.zoomAround(index);
    else if (event.key === "Escape" && (this.tip.isShown || this.tip.isPinned)) this.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private putCursor(plot: uPlot, index: number): void {
    const left = Math.max(0, plot.valToPos(plot.data[0]![index]!, "x"));
    plot.setCursor({ left, top: plot.over.clientHeight / 2 });
  }

  private zoomAround(index: number): void {
    const { from, to } = this.picture!;
    const middle = this.times[index] ?? (from + to) / 2;
    zoom(middle - (to - from) / 4, middle + (to - from) / 4);
  }

  private leave(): void {
    this.tip.unpin();
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  /** What a screen reader says of the picture: its series with lowest, highest and last value. */
  private describe(): void {
    const { series, tooltip } = this.picture!;
    const parts = series.slice(0, SUMMARY_MAX).map((one) => {
      let [low, high, last] = [Infinity, -Infinity, NaN];
      for (const value of one.v) {
        if (value === null) continue;
        [low, high, last] = [Math.min(low, value), Math.max(high, value), value];
      }
      const text = (value: number) => write(Number.isNaN(last) ? null : value, tooltip.formats[one.format]);
      return `${one.name}: last ${text(last)}, lowest ${text(low)}, highest ${text(high)}`;
    });
    const rest = series.length > SUMMARY_MAX ? `; ${series.length - SUMMARY_MAX} more` : "";
    this.plotBox.setAttribute("aria-label", `${this.context.title()}. ${parts.join("; ")}${rest}`);
  }
}

/** Lowest and highest since the point before, where they differ. */
function bandAt({ lo, hi }: Series, index: number, format: Format | undefined): string {
  const [low, high] = [lo?.[index] ?? null, hi?.[index] ?? null];
  return low === null || high === null || low === high ? "" : `${write(low, format)} … ${write(high, format)}`;
}

/** The number itself, where its text is scaled or rounded. */
function inFull(value: number, text: string, isFull: boolean): string {
  if (!isFull || !Number.isFinite(value)) return "";
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: FULL_DIGITS }).format(value);
  const bare = text.replace(/[^\d.,-]/g, "");
  return bare === number || bare === number.replaceAll(",", "") ? "" : number;
}
