// How often a dashboard is asked anew: with the server's news, at a distance, or not at all.

import { isFollowing } from "../live";
import { make } from "../page";

/** Distances that are offered besides the dashboard's own, in seconds. */
const CHOICES = [5, 10, 30, 60, 300, 900];
const NEWS = "live";
const OFF = "off";

let timer: number | undefined;
let choice = NEWS;
let ask: () => void = () => undefined;

/** Begins for a page, whose `data-refresh` is the dashboard's own distance in milliseconds. */
export function startRefresh(root: HTMLElement, follow: () => void): void {
  ask = follow;
  const own = Number(root.dataset.refresh ?? "0") / 1000;
  choice = new URLSearchParams(location.search).get("refresh") ?? (own > 0 ? String(own) : NEWS);
  if (!/^(live|off|\d{1,5})$/.test(choice)) choice = NEWS;
  showSelect(own);
  schedule();
}

function schedule(): void {
  window.clearInterval(timer);
  const seconds = Number(choice);
  if (seconds > 0) timer = window.setInterval(() => isFollowing() && !document.hidden && ask(), seconds * 1000);
}

document.body.addEventListener("skep:news", () => {
  if (choice === NEWS && isFollowing()) ask();
});

function showSelect(own: number): void {
  const tools = document.querySelector(".bar .tools");
  if (!tools) return;
  tools.querySelector("#refresh")?.remove();
  const select = make("select", "js");
  select.id = "refresh";
  select.setAttribute("aria-label", "How often the data is asked for");
  const offered = [...new Set([...CHOICES, own, Number(choice) || 0])].filter((seconds) => seconds > 0).sort((a, b) => a - b);
  const option = (value: string, word: string) => select.append(new Option(word, value, false, value === choice));
  option(NEWS, "As data comes");
  for (const seconds of offered) option(String(seconds), `Every ${words(seconds)}`);
  option(OFF, "By hand");
  select.addEventListener("change", () => {
    choice = select.value;
    const url = new URL(location.href);
    url.searchParams.set("refresh", choice);
    history.replaceState(history.state, "", url);
    schedule();
    if (choice !== OFF) ask();
  });
  tools.prepend(select);
}

function words(seconds: number): string {
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}
