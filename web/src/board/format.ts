// Numbers as `crates/dashboard/src/value` writes them, by the formats that come with a picture.

import { dateParts, show } from "../zone";
import type { Format, Rung, Text } from "./model";

const PARTS_OF_TIME: [string, number][] = [
  ["year", 31536e6],
  ["month", 2592e6],
  ["week", 6048e5],
  ["day", 864e5],
  ["hour", 36e5],
  ["minute", 6e4],
  ["second", 1e3],
  ["millisecond", 1],
];
/** Most digits that tell a tick from the next one. */
const TICK_DIGITS_MAX = 8;

type Of<K extends Format["kind"]> = Extract<Format, { kind: K }>;

export function write(value: number | null | undefined, format: Format | undefined): string {
  if (value === null || value === undefined) return "–";
  switch (format?.kind) {
    case "ladder":
      return ladder(value, format, format.decimals);
    case "date":
      return date(value, format);
    case "ago":
      return ago(value);
    case "spoken":
      return spoken(value * format.times, format);
    case "clock":
      return clock(value, format.days);
    case "parts":
      return parts(value * format.times, format.decimals);
    case "grouped":
      return grouped(value, format.decimals);
    case "scientific":
      return scientific(value, format.decimals);
    case "hex":
      return Number.isFinite(value) ? hex(value, format.mark) : digits(value);
    case "flag":
      return value === 0 ? format.no : format.yes;
    default:
      return String(value);
  }
}

/** A tick of an axis: as many digits as tell it from the next one, where nobody says how many. */
export function writeTick(value: number, increment: number, format: Format): string {
  if (format.kind !== "ladder" || format.decimals !== undefined) return write(value, format);
  const rung = rungOf(value, format);
  return ladder(value, format, digitsOf((value * rung.times) / rung.divide, (increment * rung.times) / rung.divide));
}

export function plain({ prefix = "", text, suffix = "" }: Text): string {
  return prefix + text + suffix;
}

/** Digits after the point; without a number, three in all and none for whole numbers. Halves go up. */
export function digits(value: number, decimals?: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞";
  const places = Math.min(100, decimals ?? digitsFor(value));
  if (value === 0) return value.toFixed(places);
  const factor = 10 ** places;
  const scaled = value * factor;
  const text = String(Number.isFinite(scaled) ? Math.round(scaled) / factor : value);
  if (text.includes("e")) return text;
  const missing = places - (text.split(".")[1]?.length ?? 0);
  return missing <= 0 ? text : `${text}${text.includes(".") ? "" : "."}${"0".repeat(missing)}`;
}

function digitsFor(value: number): number {
  if (value === 0 || Number.isInteger(value)) return 0;
  return Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
}

/** The fewest digits that write a tick as what it is, to a hundredth of the distance to the next one. */
function digitsOf(value: number, increment: number): number {
  const slack = Math.abs(increment) / 100;
  for (let places = 0; places < TICK_DIGITS_MAX; places++) {
    if (Math.abs(Math.round(value * 10 ** places) / 10 ** places - value) <= slack) return places;
  }
  return TICK_DIGITS_MAX;
}

function rungOf(value: number, { rungs, zero }: Of<"ladder">): Rung {
  const size = Math.abs(value);
  if (value === 0) return rungs[zero] ?? rungs[0]!;
  return rungs.findLast((rung) => rung.from <= size) ?? rungs[0]!;
}

function ladder(value: number, format: Of<"ladder">, decimals: number | undefined): string {
  const { prefix = "", minus_first, odd = "" } = format;
  if (!Number.isFinite(value)) return `${prefix}${digits(value)}${odd}`;
  const rung = rungOf(value, format);
  const scaled = (value * rung.times) / rung.divide;
  const text = digits(minus_first ? Math.abs(scaled) : scaled, decimals);
  const ending = rung.plural && scaled !== 1 ? "s" : "";
  return `${minus_first && value < 0 ? "-" : ""}${prefix}${text}${rung.suffix}${ending}`;
}

function scientific(value: number, decimals: number | undefined): string {
  return Number.isFinite(value) ? value.toExponential(decimals) : digits(value);
}

function hex(value: number, mark: boolean): string {
  return `${value < 0 ? "-" : ""}${mark ? "0x" : ""}${Math.round(Math.abs(value)).toString(16).toUpperCase()}`;
}

function grouped(value: number, decimals: number | undefined): string {
  if (!Number.isFinite(value)) return digits(value);
  const [least, most] = [decimals ?? 0, Math.min(20, decimals ?? 3)];
  return new Intl.NumberFormat("en", { minimumFractionDigits: Math.min(20, least), maximumFractionDigits: most }).format(value);
}

function ago(ms: number): string {
  const apart = ms - Date.now();
  const size = Math.abs(apart);
  const [name, unit] = PARTS_OF_TIME.find(([name, unit]) => name !== "week" && size >= unit) ?? ["second", 1e3];
  const count = Math.round(size / unit);
  const words = size < 45e3 ? "a few seconds" : count === 1 ? `${name === "hour" ? "an" : "a"} ${name}` : `${count} ${name}s`;
  return apart > 0 ? `in ${words}` : `${words} ago`;
}

function spoken(ms: number, { base, decimals = 0 }: Of<"spoken">): string {
  if (ms === 0) return `0 ${base}s`;
  if (!Number.isFinite(ms)) return digits(ms);
  const found: string[] = [];
  let rest = Math.abs(ms);
  for (const [name, size] of PARTS_OF_TIME) {
    const count = Math.floor(rest / size);
    if ((count < 1 && found.length === 0) || found.length > decimals) continue;
    found.push(`${count} ${name}${count === 1 ? "" : "s"}`);
    rest %= size;
  }
  return `${found.join(", ")}${ms < 0 ? " ago" : ""}`;
}

function two(value: number, length = 2): string {
  return String(Math.floor(value)).padStart(length, "0");
}

function clock(seconds: number, days: boolean): string {
  if (!Number.isFinite(seconds)) return digits(seconds);
  const whole = Math.floor(Math.abs(seconds));
  const [day, rest] = days ? [`${Math.floor(whole / 86400)} d `, whole % 86400] : ["", whole];
  return `${seconds < 0 ? "-" : ""}${day}${two(rest / 3600)}:${two((rest % 3600) / 60)}:${two(rest % 60)}`;
}

function parts(ms: number, decimals: number | undefined): string {
  if (!Number.isFinite(ms)) return digits(ms);
  const whole = Math.floor(Math.abs(ms));
  const all: [number, number, string][] = [
    [whole / 36e5, 2, "h"],
    [(whole % 36e5) / 6e4, 2, "m"],
    [(whole % 6e4) / 1e3, 2, "s"],
    [whole % 1e3, 3, "ms"],
  ];
  const first = Math.max(0, all.findIndex(([count], i) => count >= 1 || i === 3));
  const shown = all.slice(first, first + (decimals === undefined ? 4 : decimals + 1));
  return `${ms < 0 ? "-" : ""}${shown.map(([count, length, name]) => two(count, length) + name).join(":")}`;
}

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const LETTERS = /\[[^\]]*\]|YYYY|YY|MMMM|MMM|MM|M|DD|D|dddd|ddd|HH|H|hh|h|mm|m|ss|s|SSS|A|a|X|x/g;

function date(ms: number, { letters, today }: Of<"date">): string {
  if (!Number.isFinite(ms)) return digits(ms);
  const isToday = today !== undefined && show(ms, "day") === show(Date.now(), "day") && Math.abs(ms - Date.now()) < 864e5;
  return moment(ms, isToday ? today : letters);
}

/** Moment's letters, in the zone that is shown. */
export function moment(ms: number, letters: string): string {
  const { year, month, day, hour, minute, second } = dateParts(ms);
  const [hours, noon] = [Number(hour), Number(hour) % 12 || 12];
  const weekday = DAYS[new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDay()]!;
  const name = MONTHS[Number(month) - 1]!;
  const words: Record<string, string> = {
    ...{ YYYY: year!, YY: year!.slice(-2), MMMM: name, MMM: name.slice(0, 3), MM: month!, M: String(Number(month)) },
    ...{ DD: day!, D: String(Number(day)), dddd: weekday, ddd: weekday.slice(0, 3) },
    ...{ HH: hour!, H: String(hours), hh: two(noon), h: String(noon), mm: minute!, m: String(Number(minute)) },
    ...{ ss: second!, s: String(Number(second)), SSS: two(((ms % 1000) + 1000) % 1000, 3) },
    ...{ A: hours < 12 ? "AM" : "PM", a: hours < 12 ? "am" : "pm", X: String(Math.floor(ms / 1000)), x: String(ms) },
  };
  return letters.replace(LETTERS, (found) => (found.startsWith("[") ? found.slice(1, -1) : (words[found] ?? found)));
}
