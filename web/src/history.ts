// Expressions that this reader ran, the last ones first, kept in the browser alone.

import { byId, make, prefix, settings } from "./page";
import { current } from "./range";

/** Runs that are kept; more are not looked through. */
const RUNS_MAX = 50;
/** Characters of all of them: far below what a browser stores for a page. */
const CHARS_MAX = 40_000;
/** Runs that the empty page shows. */
const RECENT_MAX = 6;

type Run = string[];

function runs(): Run[] {
  try {
    const kept: unknown = JSON.parse(settings.get("queries") ?? "[]");
    const isRun = (one: unknown): one is Run => Array.isArray(one) && one.length > 0 && one.every((expr) => typeof expr === "string");
    return Array.isArray(kept) ? kept.filter(isRun) : [];
  } catch {
    return [];
  }
}

export function remember(run: Run): void {
  if (run.length === 0) return;
  const text = JSON.stringify(run);
  const all = [run, ...runs().filter((other) => JSON.stringify(other) !== text)].slice(0, RUNS_MAX);
  while (all.length > 0 && JSON.stringify(all).length > CHARS_MAX) all.pop();
  settings.set("queries", JSON.stringify(all));
}

/** Links that run them again, in the time that is shown. */
function links(count: number): HTMLElement[] {
  return runs()
    .slice(0, count)
    .map((run) => {
      const { from, to } = current();
      const query = new URLSearchParams([...run.map((expr) => ["expr", expr]), ["from", from], ["to", to]]);
      const link = make("a");
      link.href = `${prefix}/query?${query}`;
      link.append(...run.map((expr) => make("code", "", expr)));
      const item = make("li");
      item.append(link);
      return item;
    });
}

/** Fills the list behind the button, and that of the empty page. */
export function start(): void {
  const box = byId("history", HTMLDetailsElement);
  const list = byId("runs", HTMLUListElement);
  if (!box || !list) return;
  const clear = byId("forget", HTMLButtonElement);
  const fill = () => {
    const found = links(RUNS_MAX);
    list.replaceChildren(...(found.length > 0 ? found : [make("li", "hint", "Nothing was run in this browser yet.")]));
    clear?.toggleAttribute("hidden", found.length === 0);
  };
  box.addEventListener("toggle", () => box.open && fill());
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    box.querySelector("summary")?.focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && !box.contains(event.target)) box.open = false;
  });
  clear?.addEventListener("click", () => {
    settings.set("queries", "[]");
    fill();
  });
  const recent = byId("recent", HTMLElement);
  const found = links(RECENT_MAX);
  if (!recent || found.length === 0) return;
  recent.querySelector("ul")?.replaceChildren(...found);
  recent.hidden = false;
}
