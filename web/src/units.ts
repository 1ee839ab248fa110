// Numbers for people, as `crates/ui/src/format.rs` writes them.

export type Unit = "short" | "percent" | "bytes" | "bytes_per_second" | "per_second" | "packets_per_second" | "seconds";

const NAMES: Record<Unit, string> = {
  short: "",
  percent: "%",
  bytes: "B",
  bytes_per_second: "B/s",
  per_second: "/s",
  packets_per_second: "pkt/s",
  seconds: "s",
};
const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
const DECIMAL = ["", "k", "M", "G", "T", "P"];
const TIMES: [number, number, string][] = [
  [1e-6, 1e9, "ns"],
  [1e-3, 1e6, "µs"],
  [1, 1e3, "ms"],
  [120, 1, "s"],
  [7200, 1 / 60, "min"],
  [172800, 1 / 3600, "h"],
  [Infinity, 1 / 86400, "d"],
];

export function isBinary(unit: Unit): boolean {
  return unit === "bytes" || unit === "bytes_per_second";
}

export function format(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (unit === "seconds" && value !== 0) {
    const [, factor, name] = TIMES.find(([below]) => Math.abs(value) < below)!;
    return `${digits(value * factor)} ${name}`;
  }
  const [scaled, step] = unit === "percent" ? [value, ""] : scale(value, isBinary(unit));
  const name = `${step}${NAMES[unit]}`;
  return unit === "short" ? `${digits(scaled)}${name}` : `${digits(scaled)} ${name}`;
}

/** How a legend writes values: the axis beside it says already that they are rates. */
export function legendUnit(unit: Unit): Unit {
  return unit === "per_second" || unit === "packets_per_second" ? "short" : unit;
}

/** A value to read and, where that is scaled, the number itself: `22.5 GiB` and `24,159,191,040 B`. What is not scaled is in
 * full at once. A value that was rounded for drawing has nothing more to tell. */
export function bothWays(value: number | null, unit: Unit, isFull: boolean): [string, string] {
  const short = format(value, unit);
  if (value === null || !Number.isFinite(value) || !isFull) return [short, ""];
  const full = inFull(value, unit);
  const scaled = Math.abs(value) >= (isBinary(unit) ? 1024 : 1000) - 0.5 || unit === "seconds";
  return scaled ? [short, full === short ? "" : full] : [full, ""];
}

/** The integer part whole, fractions to six digits: more is noise of the division that made them. */
function inFull(value: number, unit: Unit): string {
  const digits = Math.abs(value) < 1e5 ? { maximumSignificantDigits: 6 } : { maximumFractionDigits: 0 };
  return `${new Intl.NumberFormat("en", digits).format(value)} ${NAMES[unit]}`.trimEnd();
}

function scale(value: number, binary: boolean): [number, string] {
  const [base, names] = binary ? [1024, BINARY] : [1000, DECIMAL];
  let scaled = value;
  let step = 0;
  while (step + 1 < names.length && Math.abs(scaled) >= base - 0.5) {
    scaled /= base;
    step++;
  }
  return [scaled, names[step] ?? ""];
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(2);
  const places = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = value.toFixed(places);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
