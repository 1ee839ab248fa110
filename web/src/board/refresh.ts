// How often a dashboard is asked anew: with the server's news, at a distance, or not at all.

import { isFollowing } from "../live";
import { make } from "../page";

/** Distances that are offered besides the dashboard's own, as Grafana writes them. */
const CHOICES = ["5s", "10s", "30s", "1m", "5m", "15m"];
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };
const NEWS = "live";
const OFF = "off";

let timer: number | undefined;
let choice = NEWS;
let ask: () => void = () => undefined;

/** Begins for a page, whose `data-refresh` is the dashboard's own distance in milliseconds. */
export function startRefresh(root: HTMLElement, follow: () => void): void {
  ask = follow;
  const own = spelled(Number(root.dataset.refresh ?? "0") / 1000);
  choice = new URLSearchParams(location.search).get("refresh") ?? own ?? NEWS;
  if (choice !== OFF && seconds(choice) === 0) choice = NEWS;
  showSelect(own);
  schedule();
}

function schedule(): void {
  window.clearInterval(timer);
  const distance = seconds(choice);
  if (distance > 0) timer = window.setInterval(() => isFollowing() && !document.hidden && ask(), distance * 1000);
}

/** Of `30s` and the like; 0 of anything else. */
function seconds(text: string): number {
  const [, count, unit] = /^(\d{1,5})([smhd])$/.exec(text) ?? [];
  return Number(count ?? 0) * (SECONDS[unit ?? ""] ?? 0);
}

function spelled(distance: number): string | null {
  if (distance <= 0) return null;
  return distance % 3600 === 0 ? `${distance / 3600}h` : distance % 60 === 0 ? `${distance / 60}m` : `${distance}s`;
}

document.body.addEventListener("skep:news", () => {
  if (choice === NEWS && isFollowing()) ask();
});

function showSelect(own: string | null): void {
  const tools = document.querySelector(".bar .tools");
  if (!tools) return;
  tools.querySelector("#refresh")?.remove();
  const select = make("select", "js");
  select.id = "refresh";
  select.setAttribute("aria-label", "How often the data is asked for");
  const offered = new Set([...CHOICES, own ?? "", choice].filter((text) => seconds(text) > 0));
  const option = (value: string, word: string) => select.append(new Option(word, value, false, value === choice));
  option(NEWS, "As data comes");
  for (const text of [...offered].sort((a, b) => seconds(a) - seconds(b))) option(text, `Every ${text.replace(/(\D)$/, " $1").replace(" m", " min")}`);
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
