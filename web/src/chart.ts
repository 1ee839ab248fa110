// One chart: uPlot with our axes, a shared crosshair, a tooltip, a legend, zoom by mouse, touch and keyboard.

import uPlot from "uplot";
import { type Drawn, type Series, type Values, fetchStep } from "./data";
import { make, settings } from "./page";
import { zoom, zoomOut } from "./range";
import { attachTouch, zoomToSelection } from "./touch";
import { type Unit, bothWays, format, isBinary, legendUnit } from "./units";
import { show, zoneName } from "./zone";

/** Hues of the palette; further series repeat them, dashed. */
const HUES = 8;
/** With more series than these, bands of lowest and highest would hide the lines. */
const BANDS_MAX = 4;
/** Lines of the tooltip: the ones nearest to the top. */
const TOOLTIP_MAX = 10;
/** How long the crosshair rests before the values under it are asked for in full. */
const REST_MS = 120;
/** Series that an overview's legend names before it is unfolded: those that reach highest. One more than that is not folded. */
const LEGEND_MAX = 4;
const DASH = [6, 3];
/** What the legend of the query page tells beside the last value. */
const FACTS = ["min", "mean", "max"] as const;
/** Distances of x labels, in seconds. uPlot's own have no two minutes, which leaves a range of five with one label. */
export const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 4, 6, 8, 12].map((hours) => hours * 3600),
  ...[1, 2, 3, 5, 7, 10, 14, 30, 60, 90, 180, 365].map((days) => days * 86400),
];
export const POWERS_OF_TWO = Array.from({ length: 60 }, (_, i) => 2 ** (i - 4));

export class Chart {
  readonly element: HTMLElement;
  private readonly legend: HTMLElement | null;
  private readonly tooltip = make("div", "tooltip");
  private plot: uPlot | null = null;
  private drawn: Drawn | null = null;
  private hidden = new Set<string>();
  private values: HTMLElement[] = [];
  private hovered = false;
  private unfolded = false;
  /** Values in full, by step and series, of the data that is drawn. */
  private full = new Map<number, Map<string, number | null>>();
  private rest: number | undefined;

  constructor(element: HTMLElement) {
    this.element = element;
    this.legend = element.parentElement?.querySelector(".legend") ?? null;
    this.tooltip.hidden = true;
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("blur", () => this.leave());
    element.addEventListener("mouseenter", () => (this.hovered = true));
    element.addEventListener("mouseleave", () => {
      this.hovered = false;
      this.tooltip.hidden = true;
    });
    new ResizeObserver(() => this.resize()).observe(element);
  }

  get data(): Drawn | null {
    return this.drawn;
  }

  /** Draws, reusing the plot where the series are the same. */
  draw(drawn: Drawn): void {
    const same = this.plot !== null && this.drawn !== null && names(this.drawn) === names(drawn) && hasBands(this.drawn) === hasBands(drawn);
    const resting = this.tooltip.hidden ? null : this.plot?.cursor;
    this.drawn = drawn;
    this.full = new Map();
    const { panel } = drawn;
    if (panel.error) return this.say(panel.error);
    if (panel.series.length === 0) return this.say(panel.empty ?? this.element.dataset.empty ?? "No data in this range.");
    if (same) this.plot?.setData(this.columns());
    else this.rebuild();
    this.describe();
    this.writeFacts();
    this.writeLegend(null);
    if (resting) this.putBack(resting);
  }

  /** The pointer did not move, yet what lies under it is new: legend and tooltip tell it, and ask for it in full. */
  private putBack({ left = -10, top = -10 }: uPlot.Cursor): void {
    // uPlot knows its new scales when its own microtask has run, which it has queued before this one.
    queueMicrotask(() => this.plot?.setCursor({ left, top }));
  }

  /** A sentence instead of a picture. */
  say(text: string): void {
    this.plot?.destroy();
    this.plot = null;
    this.element.replaceChildren(make("p", "none", text));
    this.element.setAttribute("aria-label", text);
    this.legend?.replaceChildren();
  }

  /** Anew, as after a change of theme or zone. */
  rebuild(): void {
    if (!this.drawn || this.drawn.panel.series.length === 0) return;
    this.plot?.destroy();
    this.element.replaceChildren();
    this.plot = new uPlot(this.options(), this.columns(), this.element);
    this.plot.over.append(this.tooltip);
    this.plot.over.addEventListener("dblclick", () => zoomOut());
    attachTouch(this.plot);
    this.buildLegend();
    this.writeFacts();
    this.writeLegend(null);
  }

  private get series(): Series[] {
    return this.drawn?.panel.series ?? [];
  }

  private get unit(): Unit {
    return this.drawn?.panel.unit ?? "short";
  }

  /** Whether this is the query page's chart: its values are in full, its legend a table. */
  private get isQuery(): boolean {
    return this.drawn?.panel.id === "query";
  }

  private get stacked(): boolean {
    return isStacked(this.drawn);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (this.plot && width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  private columns(): uPlot.AlignedData {
    const { start, step, count } = this.drawn!.grid;
    const times = Array.from({ length: count }, (_, i) => (start + i * step) / 1000);
    const shown = this.series.map((series) => !this.hidden.has(series.name));
    const lines = this.stacked ? stack(this.series, shown) : this.series.map((series) => series.v);
    const bands = hasBands(this.drawn!) ? this.series.flatMap((series) => [series.lo ?? series.v, series.hi ?? series.v]) : [];
    return [times, ...lines, ...bands] as uPlot.AlignedData;
  }

  private options(): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const font = `11px ${style.getPropertyValue("--font")}`;
    const axis = { stroke: color("--muted"), font, grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false } };
    const unit = this.unit;
    const hues = this.series.map((_, i) => color(`--s${i % HUES}`));
    const lines = this.series.map((series, i) => this.line(series, i, hues[i]!));
    const edges = hasBands(this.drawn!) ? this.series.flatMap((series) => this.edges(series)) : [];
    return {
      width: this.element.clientWidth || 300,
      height: this.element.clientHeight || 180,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zoneName()),
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: "skep", scales: ["x", null] },
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
        focus: { prox: 24 },
      },
      focus: { alpha: 0.35 },
      scales: { x: { time: true }, y: { range: (_plot, min, max) => this.span(min, max) } },
      axes: [
        { ...axis, size: 26, space: 70, incrs: TIME_STEPS, values: (_plot, splits, _axis, _space, step) => splits.map((at, i) => timeLabel(at, splits[i - 1], step)) },
        {
          ...axis,
          size: (_plot, values) => 12 + Math.max(24, ...(values ?? []).map((text) => text.length * 6.2)),
          space: 32,
          values: (_plot, splits) => splits.map((value) => format(value, unit)),
          ...(isBinary(unit) ? { incrs: POWERS_OF_TWO } : {}),
        },
      ],
      series: [{}, ...lines, ...edges],
      bands: this.bands(hues),
      hooks: {
        setCursor: [(plot) => this.follow(plot)],
        setSelect: [zoomToSelection],
      },
    };
  }

  private line(series: Series, i: number, hue: string): uPlot.Series {
    const bottom = this.stacked && i === 0;
    const dash = i >= HUES ? { dash: DASH } : {};
    return {
      label: series.name,
      show: !this.hidden.has(series.name),
      stroke: hue,
      width: this.stacked ? 1 : 1.5,
      points: { show: true, size: 5, fill: hue, filter: (plot, of) => lonely(plot.data[of] as Values) },
      spanGaps: false,
      ...(bottom ? { fill: faint(hue, this.stacked) } : {}),
      ...dash,
    };
  }

  private edges(series: Series): uPlot.Series[] {
    const edge = { show: !this.hidden.has(series.name), stroke: "transparent", width: 0, points: { show: false } };
    return [{ ...edge }, { ...edge }];
  }

  private bands(hues: string[]): uPlot.Band[] {
    const count = this.series.length;
    if (this.stacked) return hues.slice(1).map((hue, i) => ({ series: [i + 2, i + 1], fill: faint(hue, true) }));
    if (!hasBands(this.drawn!)) return [];
    return hues.map((hue, i) => ({ series: [count + 2 + 2 * i, count + 1 + 2 * i], fill: faint(hue, false) }));
  }

  /** Zero is on the axis, except where somebody looks closely at one expression. */
  private span(min: number | null, max: number | null): [number, number] {
    if (min === null || max === null) return [0, 1];
    if (this.isQuery && settings.get("zero") !== "on" && min > 0 && (max - min) / max < 0.2) {
      const margin = (max - min) * 0.1 || max * 0.01;
      return [min - margin, max + margin];
    }
    const [low, high] = [Math.min(0, min), Math.max(0, max)];
    if (low === high) return [0, 1];
    if (this.unit === "percent" && this.stacked) return [0, Math.max(high * 1.08, 1)];
    return [low * 1.08, high * 1.08];
  }

  private follow(plot: uPlot): void {
    const index = plot.cursor.idx ?? null;
    const inside = index !== null && (plot.cursor.left ?? -1) >= 0;
    this.writeLegend(inside ? index : null);
    const mine = inside && (this.hovered || document.activeElement === this.element);
    this.tooltip.hidden = !mine;
    window.clearTimeout(this.rest);
    if (!mine) return;
    this.fillTooltip(plot, index);
    if (!this.isQuery && !this.full.has(index)) this.rest = window.setTimeout(() => void this.complete(plot, index), REST_MS);
  }

  /** Puts the full values into the tooltip, if the crosshair still is where they were asked for. */
  private async complete(plot: uPlot, index: number): Promise<void> {
    const { full, drawn } = this;
    try {
      full.set(index, await fetchStep(drawn!.panel.id, drawn!.grid, index));
    } catch {
      return; // The rounded values stay; a lost connection has its own banner.
    }
    if (full === this.full && !this.tooltip.hidden && plot.cursor.idx === index) this.fillTooltip(plot, index);
  }

  private fillTooltip(plot: uPlot, index: number): void {
    const at = this.drawn!.grid.start + index * this.drawn!.grid.step;
    const rows = this.series
      .map((series, i) => ({ series, i, value: series.v[index] ?? null }))
      .filter((row) => row.value !== null && !this.hidden.has(row.series.name))
      .sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
    // The last step may still run: it ends now, not when it will be over.
    const time = make("p", "", show(Math.min(at, Date.now()), "full"));
    const lines = rows.slice(0, TOOLTIP_MAX).map(({ series, i, value }) => {
      const line = make("p");
      const known = this.isQuery ? value : this.full.get(index)?.get(series.name);
      const [short, full] = bothWays(known ?? value, this.unit, known !== undefined);
      line.append(swatch(i), make("span", "", series.name), make("b", "", short));
      line.append(make("small", "full", full), make("small", "", this.bandAt(series, index)));
      return line;
    });
    if (rows.length > TOOLTIP_MAX) lines.push(make("p", "hint", `${rows.length - TOOLTIP_MAX} more`));
    this.tooltip.replaceChildren(time, ...lines);
    const left = plot.cursor.left ?? 0;
    const width = this.tooltip.offsetWidth;
    const right = left + 14 + width < plot.over.clientWidth;
    this.tooltip.style.left = `${right ? left + 14 : Math.max(-40, left - 14 - width)}px`;
    this.tooltip.style.top = `${Math.min(10, plot.over.clientHeight - this.tooltip.offsetHeight)}px`;
  }

  /** Lowest and highest of a step, where they differ. */
  private bandAt(series: Series, index: number): string {
    const [low, high] = [series.lo?.[index], series.hi?.[index]];
    if (low === undefined || high === undefined || low === high) return "";
    const unit = legendUnit(this.unit);
    return `${format(low, unit)} … ${format(high, unit)}`;
  }

  /** The legend's buttons; `writeLegend` keeps their values. */
  private buildLegend(): void {
    this.values = [];
    const items = this.series.map((series, i) => {
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!this.hidden.has(series.name)));
      button.title = `${series.name} — click to show or hide, with Ctrl to show it alone`;
      const value = make("b");
      this.values.push(value);
      button.append(swatch(i), make("span", "", series.name), value);
      if (this.isQuery) {
        button.append(...FACTS.map((of) => fact(of)));
      }
      button.addEventListener("click", (event) => this.toggle(i, event.ctrlKey || event.metaKey));
      const item = make("li");
      item.append(button);
      return item;
    });
    this.legend?.replaceChildren(...items, ...this.fold(items));
  }

  /** Hides what a short legend leaves out; the button that shows it. */
  private fold(items: HTMLElement[]): HTMLElement[] {
    if (this.isQuery || items.length <= LEGEND_MAX + 1) return [];
    const byHeight = this.series.map((_, i) => i).sort((a, b) => (this.series[b]!.max ?? 0) - (this.series[a]!.max ?? 0));
    for (const i of byHeight.slice(LEGEND_MAX)) items[i]!.hidden = !this.unfolded;
    const button = make("button", "fold", this.unfolded ? "fewer" : `${items.length - LEGEND_MAX} more`);
    button.type = "button";
    button.setAttribute("aria-expanded", String(this.unfolded));
    button.addEventListener("click", () => {
      this.unfolded = !this.unfolded;
      this.buildLegend();
      this.writeLegend(null);
      this.legend?.querySelector<HTMLElement>(".fold")?.focus();
    });
    const item = make("li");
    item.append(button);
    return [item];
  }

  private writeFacts(): void {
    [...(this.legend?.children ?? [])].forEach((item, i) => {
      const series = this.series[i];
      item.querySelectorAll("small").forEach((fact, j) => {
        const of = FACTS[j];
        if (series && of) fact.textContent = format(series[of], this.unit);
      });
    });
  }

  /** Values at the crosshair, or the last ones. */
  private writeLegend(index: number | null): void {
    this.series.forEach((series, i) => {
      const value = this.values[i];
      if (value) value.textContent = format(index === null ? series.last : (series.v[index] ?? null), legendUnit(this.unit));
    });
  }

  private toggle(i: number, alone: boolean): void {
    const name = this.series[i]!.name;
    const others = this.series.map((series) => series.name).filter((other) => other !== name);
    if (alone) {
      const isAlone = others.every((other) => this.hidden.has(other)) && !this.hidden.has(name);
      this.hidden = new Set(isAlone ? [] : others);
    } else if (!this.hidden.delete(name)) {
      this.hidden.add(name);
    }
    this.rebuild();
    this.legend?.querySelectorAll("button")[i]?.focus();
  }

  private key(event: KeyboardEvent): void {
    const plot = this.plot;
    if (!plot || event.target !== this.element) return;
    const last = this.drawn!.grid.count - 1;
    const index = plot.cursor.idx ?? last;
    const steps: Record<string, number> = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last };
    const wanted = steps[event.key];
    if (wanted !== undefined) this.putCursor(plot, Math.max(0, Math.min(last, wanted)));
    else if (event.key === "-") zoomOut();
    else if (event.key === "+" || event.key === "Enter") this.zoomAround(plot, index);
    else if (event.key === "Escape") this.leave();
    else return;
    event.preventDefault();
  }

  private putCursor(plot: uPlot, index: number): void {
    const left = plot.valToPos(plot.data[0]![index]!, "x");
    plot.setCursor({ left, top: plot.over.clientHeight / 2 });
  }

  private zoomAround(plot: uPlot, index: number): void {
    const { grid } = this.drawn!;
    const middle = plot.data[0]![index]! * 1000;
    const quarter = ((grid.count - 1) * grid.step) / 4;
    zoom(middle - quarter, middle + quarter);
  }

  private leave(): void {
    this.plot?.setCursor({ left: -10, top: -10 });
    this.tooltip.hidden = true;
  }

  private describe(): void {
    const title = this.element.closest("figure")?.querySelector("h3")?.textContent ?? "Chart";
    const parts = this.series.slice(0, 8).map((series) => {
      const text = (value: number | null) => format(value, this.unit);
      return `${series.name}: last ${text(series.last)}, lowest ${text(series.min)}, highest ${text(series.max)}`;
    });
    this.element.setAttribute("aria-label", `${title}. ${parts.join("; ")}`);
  }
}

function names(drawn: Drawn): string {
  return drawn.panel.series.map((series) => series.name).join("\n");
}

/** The reader of the query page chooses; panels of the overview are made for it or not. */
function isStacked(drawn: Drawn | null): boolean {
  return drawn?.panel.id === "query" ? settings.get("stacked") === "on" : (drawn?.panel.stacked ?? false);
}

function hasBands(drawn: Drawn): boolean {
  const { panel } = drawn;
  return !isStacked(drawn) && panel.series.length <= BANDS_MAX && panel.series.some((series) => series.lo);
}

/** Points without a neighbour, which no line shows. */
function lonely(values: Values): number[] {
  const has = (i: number) => values[i] !== null && values[i] !== undefined;
  return values.flatMap((_, i) => (has(i) && !has(i - 1) && !has(i + 1) ? [i] : []));
}

/** Each line on top of those before it; a gap counts as nothing, unless all have it. */
function stack(series: Series[], shown: boolean[]): Values[] {
  const count = series[0]?.v.length ?? 0;
  const base = new Float64Array(count);
  const empty = Array.from({ length: count }, (_, t) => series.every((one) => one.v[t] === null));
  return series.map((one, i) =>
    one.v.map((value, t) => {
      if (empty[t]) return null;
      base[t] = base[t]! + (shown[i] ? (value ?? 0) : 0);
      return base[t]!;
    }),
  );
}

function fact(of: string): HTMLElement {
  const element = make("small");
  element.dataset.of = of;
  return element;
}

function swatch(i: number): HTMLElement {
  return make("i", `s${i % HUES}${i >= HUES ? " dashed" : ""}`);
}

/** A colour of the palette (`#rrggbb`) made faint. */
function faint(hue: string, stacked: boolean): string {
  return `${hue}${stacked ? "59" : "24"}`;
}

/** An x label: the day where it begins, else hours and minutes, seconds only where steps are that fine. */
export function timeLabel(at: number, before: number | undefined, step: number): string {
  const ms = at * 1000;
  if (step >= 86400) return show(ms, "day");
  const text = show(ms, step < 60 ? "seconds" : "clock");
  const newDay = before !== undefined && show(before * 1000, "day") !== show(ms, "day");
  return newDay ? show(ms, "day") : text;
}
