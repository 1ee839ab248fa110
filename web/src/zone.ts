// Times in the reader's zone or in UTC, always with 24 hours.

import { all, announce, byId, settings } from "./page";

const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
let utc = settings.get("zone") === "utc";
/** The zone that a dashboard asks for. */
let suggested = "";

export function isUtc(): boolean {
  return utc;
}

/** The IANA name of the zone that is shown. */
export function zoneName(): string {
  return utc ? "Etc/UTC" : suggested || local;
}

/** One for each zone: making one takes longer than drawing a chart's axis. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    const two = "2-digit";
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      year: "numeric",
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two,
      hourCycle: "h23",
    });
    formats.set(zone, format);
  }
  return format;
}

/** Year, month and so on in the zone that is shown, in digits. */
export function dateParts(ms: number): Record<string, string> {
  return Object.fromEntries(formatOf(zoneName()).formatToParts(ms).map((part) => [part.type, part.value]));
}

/** `2026-11-20 23:30:05`, `23:30:05`, `23:30`, `11-20`. */
export function show(ms: number, what: "full" | "minutes" | "seconds" | "clock" | "day"): string {
  const { year, month, day, hour, minute, second } = dateParts(ms);
  switch (what) {
    case "full":
      return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
    case "minutes":
      return `${year}-${month}-${day} ${hour}:${minute}`;
    case "seconds":
      return `${hour}:${minute}:${second}`;
    case "clock":
      return `${hour}:${minute}`;
    case "day":
      return `${month}-${day}`;
  }
}

/** Reads `2026-11-20 23:30[:05]` in the zone that is shown; other texts are left to the server. */
export function toServer(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)$/.exec(text.trim());
  if (!match) return text.trim();
  const guess = Date.parse(`${match[1]}T${match[2]}Z`);
  if (Number.isNaN(guess)) return text.trim();
  // The offset is taken at the guess, and once more where that crosses a change of clocks.
  const once = guess - offset(guess);
  return String(guess - offset(once));
}

function offset(ms: number): number {
  return Date.parse(`${show(ms, "full").replace(" ", "T")}Z`) - Math.floor(ms / 1000) * 1000;
}

/** Writes all times of the page in the zone that is shown. */
export function rewrite(within: ParentNode = document): void {
  for (const time of all<HTMLTimeElement>("time[data-ms]", within)) {
    time.textContent = show(Number(time.dataset.ms), "full");
    time.title = time.dateTime;
  }
}

function showChoice(): void {
  const name = utc ? "UTC" : (zoneName().split("/").pop() ?? "local").replaceAll("_", " ");
  const word = byId("zone-word", HTMLElement);
  if (word) word.textContent = name;
  for (const element of all<HTMLElement>("[data-zone-word]")) element.textContent = name;
}

/** What a dashboard asks for holds on its page, unless this reader has chosen. */
export function suggest(zone: string): void {
  if (settings.get("zone") !== null) return;
  suggested = "";
  if (/^(etc\/)?utc$/i.test(zone)) utc = true;
  else if (isZone(zone)) suggested = zone;
  showChoice();
  rewrite();
}

function isZone(zone: string): boolean {
  try {
    return zone !== "" && zone !== "browser" && formatOf(zone) !== undefined;
  } catch {
    return false; // The browser does not know it: its own holds.
  }
}

export function start(): void {
  byId("zone", HTMLButtonElement)?.addEventListener("click", () => {
    utc = !utc;
    suggested = "";
    settings.set("zone", utc ? "utc" : "browser");
    showChoice();
    rewrite();
    announce("skep:zone");
  });
  showChoice();
  rewrite();
}
