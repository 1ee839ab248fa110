// The time range in the address: the picker, zooming, moving, and what follows from it.

import { all, announce, byId } from "./page";
import { show, toServer } from "./zone";

/** Narrower than this a zoom shows nothing new. */
const SPAN_MIN_MS = 1000;
const UNITS: Record<string, number> = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5, y: 31536e6 };

export interface Range {
  from: string;
  to: string;
}

/** The range that the address names. */
export function current(): Range {
  const query = new URLSearchParams(location.search);
  return { from: query.get("from") || (document.body.dataset.from ?? "now-1h"), to: query.get("to") || "now" };
}

/** The times that it means now. */
export function bounds(range: Range = current()): { start: number; end: number } {
  return { start: resolve(range.from), end: resolve(range.to) };
}

export function isLive(): boolean {
  return current().to === "now";
}

function resolve(bound: string): number {
  if (bound.startsWith("now")) {
    const terms = [...bound.slice(3).matchAll(/(\d+)(ms|[smhdwy])/g)];
    return Date.now() - terms.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
  }
  return /^-?\d+$/.test(bound) ? Number(bound) : Date.parse(/[zZ]|[+-]\d\d:\d\d$/.test(bound) ? bound : `${bound}Z`);
}

/** Goes to a range without loading the page anew; charts, links and live parts follow. */
export function go(range: Range): void {
  const url = new URL(location.href);
  url.searchParams.set("from", range.from);
  url.searchParams.set("to", range.to);
  history.pushState({ skep: true }, "", url);
  apply();
}

export function zoom(start: number, end: number): void {
  if (end - start >= SPAN_MIN_MS) go({ from: String(Math.round(start)), to: String(Math.round(end)) });
}

/** Twice the range around its middle, not beyond now. */
export function zoomOut(): void {
  const { start, end } = bounds();
  const half = (end - start) / 2;
  shiftTo(start - half, end + half);
}

function move(direction: number): void {
  const { start, end } = bounds();
  const half = ((end - start) / 2) * direction;
  shiftTo(start + half, end + half);
}

function shiftTo(start: number, end: number): void {
  const beyond = Math.max(0, end - Date.now());
  zoom(start - beyond, end - beyond);
}

function title(range: Range): string {
  const preset = byId("range", HTMLElement)?.querySelector(`a[data-preset="${CSS.escape(range.from)}"]`);
  if (range.to === "now" && preset) return preset.textContent ?? "";
  if (range.to === "now" && range.from.startsWith("now-")) return `Last ${range.from.slice(4)}`;
  const { start, end } = bounds(range);
  return `${show(start, "minutes")} – ${show(end, "minutes")}`;
}

/** Writes the address's range into everything that shows or carries it. */
function apply(): void {
  const range = current();
  showTitle();
  for (const link of all<HTMLAnchorElement>("a[data-range-link]")) {
    const url = new URL(link.href);
    url.searchParams.set("from", range.from);
    url.searchParams.set("to", range.to);
    link.href = url.pathname + url.search;
  }
  for (const name of ["from", "to"] as const) {
    for (const input of all<HTMLInputElement>(`input[name="${name}"]`)) input.value = range[name];
  }
  announce("skep:range");
}

function showTitle(): void {
  const range = current();
  const words = byId("range-title", HTMLElement);
  if (words) words.textContent = title(range);
  for (const link of all<HTMLAnchorElement>("a[data-preset]")) {
    const chosen = link.dataset.preset === range.from && range.to === "now";
    link.toggleAttribute("aria-current", chosen);
    if (chosen) link.setAttribute("aria-current", "true");
  }
}

function startPicker(picker: HTMLDetailsElement): void {
  picker.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[data-preset]") : null;
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    picker.open = false;
    go({ from: link.dataset.preset ?? "now-1h", to: "now" });
  });
  byId("range-form", HTMLFormElement)?.addEventListener("submit", (event) => {
    // The server judges what was typed: it answers with a page that says what cannot be read.
    const data = new FormData(event.target as HTMLFormElement);
    event.preventDefault();
    const url = new URL(location.href);
    for (const name of ["from", "to"]) url.searchParams.set(name, toServer(String(data.get(name) ?? "")));
    location.assign(url);
  });
  document.addEventListener("click", (event) => {
    if (picker.open && event.target instanceof Node && !picker.contains(event.target)) picker.open = false;
  });
  picker.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    picker.open = false;
    picker.querySelector("summary")?.focus();
  });
}

export function start(): void {
  const picker = byId("range", HTMLDetailsElement);
  if (!picker) return;
  startPicker(picker);
  byId("range-back", HTMLButtonElement)?.addEventListener("click", () => move(-1));
  byId("range-next", HTMLButtonElement)?.addEventListener("click", () => move(1));
  document.body.addEventListener("skep:zone", showTitle);
  window.addEventListener("popstate", (event) => {
    // htmx reloads for its own entries; ours differ from their neighbours in the range alone.
    if (!(event.state as { htmx?: unknown } | null)?.htmx) apply();
  });
  showTitle();
}
