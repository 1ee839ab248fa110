// Columns of a picture as uPlot takes them: turned, stacked, joined.

import type { Series, Stack, TimePicture, Values } from "./model";

/** When each value is, in milliseconds. */
export function timesOf(picture: TimePicture): number[] {
  const { start, step, count, times } = picture;
  return times ?? Array.from({ length: count }, (_, i) => start + i * step);
}

/** What is drawn of each series: turned downwards where it is to be, on top of those that it stands on. */
export function columns(picture: TimePicture, isShown: (series: Series) => boolean): Values[] {
  const drawn = picture.series.map((series) => (series.flip ? series.v.map((value) => (value === null ? null : -value)) : series.v));
  for (const stack of picture.stacks) pile(drawn, picture, stack, isShown);
  return [...drawn, ...picture.series.flatMap(edges)];
}

/** Below and above of a band. */
function edges({ lo, hi, flip }: Series): Values[] {
  if (!lo || !hi) return [];
  const turned = (values: Values) => values.map((value) => (value === null ? null : -value));
  return flip ? [turned(hi), turned(lo)] : [lo, hi];
}

/** A gap counts as nothing where another series has a value. */
function pile(drawn: Values[], picture: TimePicture, { series, percent }: Stack, isShown: (series: Series) => boolean): void {
  const shown = series.filter((i) => isShown(picture.series[i]!));
  const count = drawn[series[0] ?? 0]?.length ?? 0;
  const sums = new Float64Array(count);
  const known = new Uint8Array(count);
  for (const i of shown) {
    drawn[i]!.forEach((value, at) => {
      if (value === null) return;
      known[at] = 1;
      sums[at]! += value;
    });
  }
  const base = new Float64Array(count);
  for (const i of shown) {
    drawn[i] = drawn[i]!.map((value, at) => {
      if (!known[at]) return null;
      base[at]! += value ?? 0;
      return percent ? (sums[at] === 0 ? 0 : base[at]! / Math.abs(sums[at]!)) : base[at]!;
    });
  }
}

/** Puts a tail behind what is there and drops what left the range. `null` where they do not fit: ask for all. */
export function join(old: TimePicture, tail: TimePicture): TimePicture | null {
  if (old.shape !== tail.shape || (old.times === undefined) !== (tail.times === undefined)) return null;
  const before = timesOf(old);
  const after = timesOf(tail);
  const begins = after[0];
  if (begins === undefined) return null;
  // What the tail tells anew replaces what was there: its first steps may have been half done.
  const keptTo = lowerBound(before, begins);
  if (keptTo === 0 || (!old.times && (begins - old.start) % old.step !== 0)) return null;
  if (!old.times && keptTo === before.length && begins > old.start + keptTo * old.step) return null;
  const keptFrom = Math.min(keptTo, lowerBound(before, tail.from));
  const link = (before: Values, after: Values) => [...before.slice(keptFrom, keptTo), ...after];
  const series = tail.series.map((one, i) => {
    const was = old.series[i]!;
    // Where one part has no band, its line is both sides.
    const band = (was.lo ?? one.lo) && { lo: link(was.lo ?? was.v, one.lo ?? one.v), hi: link(was.hi ?? was.v, one.hi ?? one.v) };
    return { ...one, v: link(was.v, one.v), ...band };
  });
  const count = keptTo - keptFrom + after.length;
  const times = old.times && { times: [...before.slice(keptFrom, keptTo), ...after] };
  return { ...tail, start: before[keptFrom] ?? begins, count, ...times, series };
}

/** The place of the first time that is not before `time`. */
export function lowerBound(times: number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
