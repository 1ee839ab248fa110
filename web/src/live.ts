// The page's one event stream. It says that something is new; parts of the page then ask for it.

import { announce, byId, prefix, settings } from "./page";
import { isLive } from "./range";
import { show } from "./zone";

interface Summary {
  newest: number | null;
  firing: number;
}

/** Longest wait for a sign of life when the stream has been silent. */
const PROBE_TIMEOUT_MS = 5000;
/** Time between questions where the server has no place for a stream. */
const POLL_MS = 15000;

const patience = Number(document.body.dataset.patience ?? "45") * 1000;
let stream: EventSource | null = null;
let silence: number | undefined;
let poll: number | undefined;
let newest = Number(document.body.dataset.newest ?? "0");
let firing: number | null = null;
let lost = false;
let paused = settings.get("live") === "off";

/** Whether charts and lists should follow the clock. */
export function isFollowing(): boolean {
  return !paused && isLive();
}

function open(): void {
  close();
  stream = new EventSource(`${prefix}/ui/live`);
  stream.addEventListener("state", (event) => receive(JSON.parse(event.data as string) as Summary));
  stream.addEventListener("open", () => listen());
  stream.addEventListener("error", () => {
    // A stream that was refused (all places taken) is closed for good; one that broke is tried again by the browser.
    if (stream?.readyState === EventSource.CLOSED) startPolling();
    else void probe();
  });
  listen();
}

function close(): void {
  stream?.close();
  stream = null;
  window.clearTimeout(silence);
  window.clearInterval(poll);
}

/** Starts waiting for the next sign of life. */
function listen(): void {
  window.clearTimeout(silence);
  silence = window.setTimeout(() => void probe(), patience);
}

function startPolling(): void {
  close();
  void probe();
  poll = window.setInterval(() => void probe(), POLL_MS);
}

async function probe(): Promise<void> {
  try {
    const answer = await fetch(`${prefix}/ui/live/now`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS), cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    receive((await answer.json()) as Summary);
  } catch {
    if (!document.hidden) setLost(true);
    if (stream) listen();
  }
}

function receive(summary: Summary): void {
  setLost(false);
  if (stream) listen();
  showFiring(summary.firing);
  const changed = summary.newest !== newest || summary.firing !== firing;
  const first = firing === null;
  firing = summary.firing;
  newest = summary.newest ?? newest;
  if (changed && !paused && !(first && summary.newest === newest)) announce("skep:news");
}

function setLost(now: boolean): void {
  const banner = byId("lost", HTMLElement);
  const since = byId("lost-since", HTMLElement);
  if (now && !lost && since) since.textContent = show(newest || Number(document.body.dataset.now), "full");
  if (banner) banner.hidden = !now;
  document.body.classList.toggle("is-lost", now);
  const back = lost && !now;
  lost = now;
  if (back && !paused) announce("skep:news");
}

function showFiring(count: number): void {
  const badge = byId("nav-firing", HTMLElement);
  const number = badge?.querySelector("i");
  if (!badge || !number || number.textContent === String(count)) return;
  number.textContent = String(count);
  badge.toggleAttribute("data-zero", count === 0);
}

function showSwitch(button: HTMLButtonElement): void {
  button.setAttribute("aria-pressed", String(!paused));
  button.disabled = !isLive();
}

export function start(): void {
  const button = byId("live-switch", HTMLButtonElement);
  button?.addEventListener("click", () => {
    paused = !paused;
    settings.set("live", paused ? "off" : "on");
    showSwitch(button);
    if (!paused) announce("skep:news");
  });
  if (button) {
    showSwitch(button);
    document.body.addEventListener("skep:range", () => showSwitch(button));
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());
  window.addEventListener("offline", () => setLost(true));
  window.addEventListener("online", () => void probe());
  if (!document.hidden) open();
}
