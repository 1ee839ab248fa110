// Axes and scales of a picture, in uPlot's words.

import uPlot from "uplot";
import { POWERS_OF_TWO, TIME_STEPS, timeLabel } from "../chart";
import { fade, paint } from "./colour";
import { writeTick } from "./format";
import type { Axis, Limits, TimePicture } from "./model";

/** Room above the highest and below the lowest value, as a part of what lies between them. */
const PADDING = 0.1;
const FONT_PX = 11;
/** Pixels of a digit, before the texts are measured. */
const DIGIT_PX = 6.4;
/** Least distance of ticks, in pixels. */
const TICKS_X_PX = 76;
const TICKS_Y_PX = 30;

export function fontOf(): string {
  return `${FONT_PX}px ${getComputedStyle(document.documentElement).getPropertyValue("--font")}`;
}

export function axesOf(picture: TimePicture): uPlot.Axis[] {
  const font = fontOf();
  const lines = { stroke: paint("grid"), width: 1 };
  const time: uPlot.Axis = {
    stroke: paint("muted"),
    font,
    grid: lines,
    ticks: { show: false },
    size: 22,
    gap: 4,
    space: TICKS_X_PX,
    incrs: TIME_STEPS,
    values: (_plot, splits, _axis, _space, step) => splits.map((at, i) => timeLabel(at, splits[i - 1], step)),
  };
  const used = new Set(picture.series.map((series) => series.axis));
  return [time, ...picture.axes.map((axis, i) => valueAxis(axis, i, font, used.has(i)))];
}

function valueAxis(axis: Axis, i: number, font: string, used: boolean): uPlot.Axis {
  const { format, width, label } = axis;
  return {
    scale: `y${i}`,
    show: used && !axis.hidden,
    side: axis.right ? 1 : 3,
    stroke: paint(axis.color ?? "muted"),
    font,
    // Two sets of lines would not meet.
    grid: { show: axis.grid, stroke: paint("grid"), width: 1 },
    border: { show: axis.border ?? false, stroke: paint(axis.color ?? "line"), width: 1 },
    ticks: { show: false },
    gap: 4,
    space: TICKS_Y_PX,
    size: width ? width : (_plot, texts) => 10 + Math.max(20, ...(texts ?? []).map((text) => (text?.length ?? 0) * DIGIT_PX)),
    values: (_plot, splits, _axis, _space, step) => splits.map((value) => (value === null ? "" : writeTick(value, step || Math.abs(value), format))),
    ...(label ? { label, labelSize: 18, labelGap: 2, labelFont: font } : {}),
    ...(isBinary(axis) ? { incrs: POWERS_OF_TWO } : {}),
    ...(axis.log ? { filter: decades(axis.log) } : {}),
  };
}

function isBinary({ format, log }: Axis): boolean {
  return !log && format.kind === "ladder" && format.rungs.some((rung) => rung.divide === 1024);
}

/** Of a logarithmic axis only powers are written where their multiples would be too dense. */
function decades(base: number): uPlot.Axis.Filter {
  return (plot, splits) => {
    const room = (plot.bbox.height / devicePixelRatio) / TICKS_Y_PX;
    if (splits.length <= room) return splits;
    const isPower = (value: number) => value === 0 || Number.isInteger(Math.round((Math.log(Math.abs(value)) / Math.log(base)) * 1e6) / 1e6);
    const powers = splits.filter(isPower);
    const nth = Math.max(1, Math.ceil(powers.length / room));
    return splits.map((value) => (isPower(value) && powers.indexOf(value) % nth === 0 ? value : null));
  };
}

export function scalesOf(picture: TimePicture): uPlot.Scales {
  const scales: uPlot.Scales = { x: { time: true, auto: false, range: () => [picture.from / 1000, picture.to / 1000] } };
  picture.axes.forEach((axis, i) => {
    scales[`y${i}`] = { ...distribution(axis), range: (_plot, min, max) => span(axis, min, max) };
  });
  return scales;
}

function distribution({ log, linear_to }: Axis): uPlot.Scale {
  if (!log) return {};
  return linear_to ? { distr: 4, asinh: linear_to, log } : { distr: 3, log };
}

/** Zero is on the axis where values are near it, as soft ends ask for. */
function span(axis: Axis, low: number | null, high: number | null): [number, number] {
  const hard: [number, number] = [axis.min ?? -Infinity, axis.max ?? Infinity];
  let [min, max] = [low ?? axis.min ?? 0, high ?? axis.max ?? (axis.min ?? 0) + 1];
  if (axis.log) return logSpan(axis, min, max);
  if (axis.centered) {
    const reach = Math.max(Math.abs(min), Math.abs(max), Math.abs(axis.soft_min ?? 0), Math.abs(axis.soft_max ?? 0)) || 1;
    [min, max] = [-reach, reach];
  }
  const end = (soft: number | undefined, hardEnd: number): uPlot.Range.Limit => ({
    pad: PADDING,
    hard: hardEnd,
    soft: soft ?? 0,
    mode: soft === undefined ? 3 : 1,
  });
  const [from, to] = uPlot.rangeNum(min, max, { min: end(axis.soft_min, hard[0]), max: end(axis.soft_max, hard[1]) });
  const [bottom, top] = [axis.min ?? from ?? 0, axis.max ?? to ?? 1];
  return bottom < top ? [bottom, top] : [bottom, bottom + (Math.abs(bottom) || 1)];
}

function logSpan(axis: Axis, min: number, max: number): [number, number] {
  const base = axis.log ?? 10;
  if (axis.linear_to) return uPlot.rangeAsinh(Math.min(min, axis.min ?? min), Math.max(max, axis.max ?? max), base, true) as [number, number];
  const low = axis.min && axis.min > 0 ? axis.min : min > 0 ? min : Math.min(1, max > 0 ? max / base : 1);
  const high = axis.max ?? (max > low ? max : low * base);
  const [from, to] = uPlot.rangeLog(low, high, base, true);
  return [axis.min && axis.min > 0 ? axis.min : from!, axis.max ?? to!];
}

/** Areas of the limits behind the series. */
export function limitAreas(plot: uPlot, limits: Limits): void {
  if (!limits.area) return;
  const { left, width, top, height } = plot.bbox;
  limits.steps.forEach(({ from, color }, i) => {
    const below = from === null ? top + height : place(plot, from);
    const next = limits.steps[i + 1]?.from;
    const above = next === undefined || next === null ? top : place(plot, next);
    plot.ctx.fillStyle = fade(color, 0.12);
    plot.ctx.fillRect(left, above, width, Math.max(0, below - above));
  });
}

/** Lines of the limits, before the series. */
export function limitLines(plot: uPlot, limits: Limits): void {
  if (!limits.line) return;
  const { left, width, top, height } = plot.bbox;
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash(limits.dashed ? [10 * devicePixelRatio, 10 * devicePixelRatio] : []);
  for (const { from, color } of limits.steps) {
    if (from === null) continue;
    const y = Math.round(plot.valToPos(from, "y0", true));
    if (y < top || y > top + height) continue;
    ctx.strokeStyle = fade(color, 0.75);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function place(plot: uPlot, value: number): number {
  const { top, height } = plot.bbox;
  return Math.min(top + height, Math.max(top, plot.valToPos(value, "y0", true)));
}
