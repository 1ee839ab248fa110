// Asks for chart data: all visible charts in one request, and for a live page only what is new.

import { prefix } from "./page";
import { bounds, current } from "./range";
import type { Unit } from "./units";

/** A tooltip that waits longer for full values is not looked at any more. */
const STEP_TIMEOUT_MS = 5000;

export type Values = (number | null)[];

export interface Series {
  name: string;
  v: Values;
  lo?: Values;
  hi?: Values;
  last: number | null;
  min: number | null;
  max: number | null;
  mean: number | null;
}

export interface Panel {
  id: string;
  unit: Unit;
  stacked: boolean;
  series: Series[];
  total: number;
  took_ms: number;
  warnings: string[];
  infos: string[];
  error: string | null;
  /** What it means that there are no series, where that depends on more than the page. */
  empty?: string;
}

/** Time `i` is `start + i * step`. */
export interface Grid {
  start: number;
  step: number;
  count: number;
}

interface Body extends Grid {
  panels: Panel[];
  error?: string;
  detail?: string;
}

export interface Drawn {
  grid: Grid;
  panel: Panel;
}

/** What is asked of the server: panels by name, and `expr=..` parameters of the query page. */
export interface Wanted {
  ids: string[];
  query: string;
  width: number;
}

/** The whole range. */
export async function fetchAll(wanted: Wanted, signal: AbortSignal): Promise<Drawn[]> {
  const { from, to } = current();
  return ask(wanted, { from, to, w: String(wanted.width) }, signal);
}

/** What came after the last but one point of a grid: the last one may stand for a step that still ran. */
export async function fetchTail(wanted: Wanted, grid: Grid, signal: AbortSignal): Promise<Drawn[]> {
  const from = grid.start + (grid.count - 2) * grid.step;
  return ask(wanted, { from: String(from), to: "now", step: String(grid.step) }, signal);
}

/** The values of one step in full, by series: those that are drawn are rounded to less than a pixel. */
export async function fetchStep(id: string, grid: Grid, index: number): Promise<Map<string, number | null>> {
  const end = grid.start + index * grid.step;
  // The last step may still run: what lies after now would be extrapolated.
  const range = { from: String(end - grid.step + 1), to: String(Math.min(end, Date.now())), step: String(grid.step), exact: "1" };
  const answers = await ask({ ids: [id], query: "", width: 0 }, range, AbortSignal.timeout(STEP_TIMEOUT_MS));
  return new Map(answers[0]?.panel.series.map((series) => [series.name, series.v[0] ?? null]));
}

async function ask(wanted: Wanted, range: Record<string, string>, signal: AbortSignal): Promise<Drawn[]> {
  const parameters = new URLSearchParams(wanted.query);
  if (wanted.ids.length > 0) parameters.set("panels", wanted.ids.join(","));
  for (const [name, value] of Object.entries(range)) parameters.set(name, value);
  const answer = await fetch(`${prefix}/ui/data?${parameters}`, { signal, cache: "no-store" });
  const body = (await answer.json()) as Body;
  if (!answer.ok) throw new Error(`${body.error ?? answer.statusText}. ${body.detail ?? ""}`);
  const { start, step, count } = body;
  return body.panels.map((panel) => ({ grid: { start, step, count }, panel }));
}

/** Puts a tail behind what is there and drops what left the range. `null` where they do not fit: ask for all. */
export function join(old: Drawn, tail: Drawn): Drawn | null {
  const { grid, panel } = old;
  const shift = Math.round((tail.grid.start - grid.start) / grid.step);
  const names = (drawn: Drawn) => drawn.panel.series.map((series) => series.name).join("\n");
  if (tail.grid.step !== grid.step || shift < 0 || shift > grid.count || names(old) !== names(tail)) return null;
  const drop = Math.max(0, Math.min(shift, Math.ceil((bounds().start - grid.start) / grid.step)));
  const link = (before: Values | undefined, after: Values | undefined) => before && after && [...before.slice(drop, shift), ...after];
  const series = panel.series.map((one, i) => {
    const next = tail.panel.series[i]!;
    // A tail in which nothing varies has no band: its values stand for both sides.
    const lo = one.lo ?? next.lo ? link(one.lo ?? one.v, next.lo ?? next.v) : undefined;
    const hi = one.hi ?? next.hi ? link(one.hi ?? one.v, next.hi ?? next.v) : undefined;
    const v = link(one.v, next.v)!;
    return { ...next, v, ...(lo && hi ? { lo, hi } : {}), ...digest(v, lo ?? v, hi ?? v, next.last ?? one.last) };
  });
  const count = shift - drop + tail.grid.count;
  return { grid: { start: grid.start + drop * grid.step, step: grid.step, count }, panel: { ...tail.panel, series } };
}

function digest(v: Values, lo: Values, hi: Values, last: number | null): Pick<Series, "last" | "min" | "max" | "mean"> {
  let [min, max, sum, count] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < v.length; i++) {
    const value = v[i];
    if (value === null || value === undefined) continue;
    min = Math.min(min, lo[i] ?? value);
    max = Math.max(max, hi[i] ?? value);
    sum += value;
    count++;
  }
  return count === 0 ? { last, min: null, max: null, mean: null } : { last, min, max, mean: sum / count };
}
