// How the series of a picture look, in uPlot's words.

import uPlot from "uplot";
import { fade, mix, paint } from "./colour";
import type { Limit, Series, TimePicture, Values } from "./model";

const { linear, spline, stepped, bars, points } = uPlot.paths;
const LINE = linear!();
const SMOOTH = spline!();
const STEP_AFTER = stepped!({ align: 1 });
const STEP_BEFORE = stepped!({ align: -1 });
/** How far a `hue` gradient goes towards its lighter and darker ends. */
const HUE_PART = 0.35;

export function lineOptions(picture: TimePicture, i: number, show: boolean): uPlot.Series {
  const series = picture.series[i]!;
  const stroke = strokeOf(series);
  const below = floorOf(picture, i) !== null;
  return {
    label: series.name,
    scale: `y${series.axis}`,
    show,
    stroke,
    width: series.draw === "points" ? 0 : series.width,
    paths: pathsOf(series),
    points: pointsOf(series),
    spanGaps: series.span_ms === -1,
    ...(series.dash ? { dash: series.dash } : {}),
    ...(series.dots ? { cap: "round" as const } : {}),
    ...(series.span_ms && series.span_ms > 0 ? { gaps: spanned(series.span_ms) } : {}),
    ...(series.fill && !below && series.draw !== "points" ? { fill: fillOf(series) } : {}),
  };
}

/** Areas between two series: stacked ones, and those that reach down to another one. */
export function bandsOf(picture: TimePicture, shown: boolean[]): uPlot.Band[] {
  const areas = picture.series.flatMap((series, i) => {
    const floor = floorOf(picture, i, shown);
    if (floor === null || !shown[i] || !series.fill || series.draw === "points") return [];
    return [{ series: [i + 1, floor + 1] as uPlot.Band.Bounds, fill: fillOf(series), ...(series.flip ? { dir: 1 as const } : {}) }];
  });
  return [...areas, ...between(picture, shown)];
}

/** Opacity of the area between a line's lowest and highest values. */
const BAND_OPACITY = 0.2;

/** The edges of bands, which are not drawn themselves, behind all series. */
export function edgesOf(picture: TimePicture, shown: boolean[]): uPlot.Series[] {
  return picture.series.flatMap(({ axis, lo, span_ms }, i) => {
    const edge: uPlot.Series = { scale: `y${axis}`, show: shown[i]!, stroke: "transparent", width: 0, paths: LINE, points: { show: false }, spanGaps: span_ms === -1 };
    return lo ? [edge, { ...edge }] : [];
  });
}

function between(picture: TimePicture, shown: boolean[]): uPlot.Band[] {
  let edge = picture.series.length + 1;
  return picture.series.flatMap(({ lo, color }, i) => {
    if (!lo) return [];
    edge += 2;
    return shown[i] ? [{ series: [edge - 1, edge - 2] as uPlot.Band.Bounds, fill: fade(color, BAND_OPACITY) }] : [];
  });
}

/** Whether the looks of two pictures are the same, so that new values suffice. */
export function looksOf({ series, axes, stacks, thresholds, shape }: TimePicture): string {
  const looks = series.map(({ v: _v, lo, hi: _hi, calcs: _calcs, ...rest }) => ({ ...rest, band: lo !== undefined }));
  return JSON.stringify([shape, looks, axes, stacks, thresholds]);
}

/** The series that this one's area reaches down to; `null` for the axis. */
function floorOf(picture: TimePicture, i: number, shown?: boolean[]): number | null {
  const to = picture.series[i]!.fill_to;
  if (to !== undefined) return to;
  for (const stack of picture.stacks) {
    const visible = stack.series.filter((one) => shown?.[one] ?? true);
    const at = visible.indexOf(i);
    if (at > 0) return visible[at - 1]!;
  }
  return null;
}

function strokeOf(series: Series): uPlot.Series.Stroke {
  const { gradient, scheme } = series;
  if (gradient === "scheme" && scheme) return (plot, of) => byValue(plot, of, scheme, 1);
  return paint(series.color);
}

function fillOf(series: Series): uPlot.Series.Fill {
  const { color, fill = 0, gradient, scheme } = series;
  switch (gradient) {
    case "opacity":
      return (plot) => fading(plot, fade(color, fill), fade(color, 0), series.flip ?? false);
    case "hue":
      return (plot) => fading(plot, fade(mix(color, "#ffffff", HUE_PART), fill), fade(mix(color, "#000000", HUE_PART), fill), false);
    case "scheme":
      return scheme ? (plot, of) => byValue(plot, of, scheme, fill) : fade(color, fill);
    default:
      return fade(color, fill);
  }
}

/** From above to below, or the other way for what is turned. */
function fading(plot: uPlot, above: string, below: string, turned: boolean): CanvasGradient {
  const { top, height } = plot.bbox;
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, turned ? below : above);
  gradient.addColorStop(1, turned ? above : below);
  return gradient;
}

/** Each height in the colour of its value. */
function byValue(plot: uPlot, of: number, scheme: Limit[], opacity: number): CanvasGradient | string {
  const scale = plot.series[of]?.scale ?? "y0";
  const { top, height } = plot.bbox;
  const first = fade(scheme[0]?.color ?? "muted", opacity);
  if (height <= 0) return first;
  const gradient = plot.ctx.createLinearGradient(0, top + height, 0, top);
  let before = first;
  gradient.addColorStop(0, first);
  for (const { from, color } of scheme) {
    const next = fade(color, opacity);
    const place = from === null ? 0 : 1 - (plot.valToPos(from, scale, true) - top) / height;
    if (!Number.isFinite(place) || place > 1) break;
    const at = Math.max(0, place);
    gradient.addColorStop(at, before);
    gradient.addColorStop(at, next);
    before = next;
  }
  return gradient;
}

function pathsOf(series: Series): uPlot.Series.PathBuilder {
  if (series.draw === "points") return () => null;
  if (series.draw === "bars") {
    const part = series.bar_width > 0 ? series.bar_width : 0.6;
    return bars!({ size: [part, series.bar_width_max || Infinity, 1], align: series.bar_align ?? 0 });
  }
  switch (series.join) {
    case "smooth":
      return SMOOTH;
    case "stepAfter":
      return STEP_AFTER;
    case "stepBefore":
      return STEP_BEFORE;
    default:
      return LINE;
  }
}

function pointsOf(series: Series): uPlot.Series.Points {
  const look = { size: series.point_size, stroke: paint(series.color), fill: paint(series.color), paths: points!() };
  if (series.draw === "points" || (series.points === "always" && series.draw === "line")) return { ...look, show: true };
  if (series.draw === "bars") return { ...look, show: false };
  const filter: uPlot.Series.Points.Filter = (plot, of, show) => (show ? null : lonely(plot.data[of] as Values));
  return series.points === "auto" ? { ...look, filter } : { ...look, show: false, filter };
}

/** Points without a neighbour, which no line shows. */
function lonely(values: Values): number[] {
  const found: number[] = [];
  const has = (i: number) => values[i] !== null && values[i] !== undefined;
  for (let i = 0; i < values.length; i++) if (has(i) && !has(i - 1) && !has(i + 1)) found.push(i);
  return found;
}

/** Leaves out gaps that are short enough to be drawn through. */
function spanned(longest: number): uPlot.Series.GapsRefiner {
  return (plot, _of, _from, _to, gaps) =>
    gaps.filter(([left, right]) => (plot.posToVal(right, "x", true) - plot.posToVal(left, "x", true)) * 1000 > longest);
}
