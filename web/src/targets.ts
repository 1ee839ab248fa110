// The list of targets: filters and sorts without asking the server, and follows scrapes by changing cells in place.

import { all, announce, byId, prefix } from "./page";
import { isFollowing } from "./live";

/** A row of `/ui/targets`: identity, state, last scrape, microseconds it took, microseconds late, samples, error. */
type Row = [string, string, number | null, number, number, number, string];

interface Answer {
  now: number;
  targets: Row[];
}

/** Columns by key: what they sort by, a place in `data-order` or the text of a cell. */
const ORDERS: Record<string, number> = { state: 0, last: 1, late: 2, took: 3, every: 4, samples: 5 };
const TEXTS: Record<string, number> = { target: 1, job: 2, labels: 3 };
/** State word: class, icon, place in the order. */
const STATES: Record<string, [string, string, number]> = {
  down: ["bad", "cross", 0],
  waiting: ["idle", "clock", 1],
  up: ["good", "check", 2],
};

const collator = new Intl.Collator("en", { numeric: true });

function rows(): HTMLTableRowElement[] {
  return [...(byId("targets", HTMLTableElement)?.tBodies[0]?.rows ?? [])];
}

function params(): URLSearchParams {
  return new URL(location.href).searchParams;
}

/** Changes the address without a new page, and the links that should keep what it says. */
function remember(changes: Record<string, string>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  history.replaceState(history.state, "", url);
}

function word(row: HTMLTableRowElement): string {
  return row.cells[0]?.textContent?.trim() ?? "";
}

/** Shows what the address asks for. */
function filter(): void {
  const wanted = params();
  const [job, health] = [wanted.get("job") ?? "", wanted.get("health") ?? ""];
  const words = (wanted.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  const list = rows();
  for (const row of list) {
    const text = words.length > 0 ? `${row.textContent} ${row.cells[3]?.title}`.toLowerCase() : "";
    const hidden =
      (job !== "" && row.dataset.job !== job) || (health !== "" && word(row) !== health) || !words.every((one) => text.includes(one));
    if (row.hidden !== hidden) row.hidden = hidden;
    shown += hidden ? 0 : 1;
  }
  const none = byId("filter-none", HTMLElement);
  if (none) none.hidden = shown > 0 || list.length === 0;
  const count = byId("shown", HTMLElement);
  if (count) setText(count, `${shown} of ${list.length}`);
  choose("a[data-job]", "job", job);
  choose("a[data-health]", "health", health);
}

function choose(selector: string, name: string, value: string): void {
  for (const link of all<HTMLAnchorElement>(selector)) {
    const chosen = link.dataset[name] === value;
    if (chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function sort(): void {
  const wanted = params();
  const key = wanted.get("sort") ?? "state";
  const falling = wanted.get("order") === "desc";
  for (const link of all<HTMLAnchorElement>("#targets thead a[data-sort]")) {
    const header = link.closest("th");
    if (link.dataset.sort === key) header?.setAttribute("aria-sort", falling ? "descending" : "ascending");
    else header?.removeAttribute("aria-sort");
  }
  const body = byId("targets", HTMLTableElement)?.tBodies[0];
  if (!body) return;
  const keyed = rows().map((row) => ({ row, key: sortKey(row, key), job: text(row, 2), target: text(row, 1) }));
  keyed.sort((a, b) => compare(a.key, b.key) * (falling ? -1 : 1) || compare(a.job, b.job) || compare(a.target, b.target));
  const focus = document.activeElement;
  body.append(...keyed.map(({ row }) => row));
  if (focus instanceof HTMLElement && body.contains(focus)) focus.focus();
}

function text(row: HTMLTableRowElement, cell: number): string {
  return row.cells[cell]?.textContent ?? "";
}

function sortKey(row: HTMLTableRowElement, key: string): string | number {
  const cell = TEXTS[key];
  if (cell !== undefined) return text(row, cell);
  const value = Number((row.dataset.order ?? "").split(",")[ORDERS[key] ?? 0]);
  // What was scraped just now comes first.
  return key === "last" ? -value : value;
}

function compare(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

function setText(element: Element | null | undefined, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

/** As the server spells it. */
function brief(micros: number): string {
  const millis = micros / 1000;
  if (millis >= 10_000) return `${(millis / 1000).toFixed(1)} s`;
  if (millis >= 1000) return `${(millis / 1000).toFixed(2)} s`;
  return `${millis.toFixed(millis >= 100 ? 0 : millis >= 10 ? 1 : 2)} ms`;
}

function age(last: number | null, now: number): string {
  if (last === null) return "never";
  const seconds = Math.trunc((now - last) / 1000);
  if (seconds < 0) return "ahead";
  return seconds < 600 ? `${seconds} s` : `${Math.trunc(seconds / 60)} min`;
}

function update(row: HTMLTableRowElement, [, state, last, took, late, samples, error]: Row, now: number): void {
  const shown = STATES[state];
  if (shown && word(row) !== state) {
    const mark = row.cells[0]?.firstElementChild;
    mark?.setAttribute("class", `state ${shown[0]}`);
    mark?.querySelector("use")?.setAttribute("href", `#i-${shown[1]}`);
    setText(mark?.querySelector("span"), state);
  }
  const [errorText, labels] = row.cells[3]?.children ?? [];
  if (errorText && errorText.textContent !== error) {
    errorText.textContent = error;
    row.cells[3]?.setAttribute("title", `${error} ${labels?.textContent}`);
  }
  const time = row.cells[4]?.firstElementChild;
  if (time instanceof HTMLTimeElement) {
    setText(time, age(last, now));
    if (last !== null) time.dateTime = new Date(last).toISOString();
    time.title = time.dateTime;
  }
  if (last !== null) {
    setText(row.cells[5], brief(late));
    setText(row.cells[6], brief(took));
  }
  setText(row.cells[8], String(samples));
  const every = (row.dataset.order ?? "").split(",")[4] ?? "0";
  row.dataset.order = [shown?.[2] ?? 0, last ?? 0, late, took, every, samples].join(",");
}

/** Counts beside jobs and healths. */
function count(list: HTMLTableRowElement[]): void {
  const jobs = new Map<string, { up: number; down: number; all: number }>();
  const healths = new Map<string, number>([["", list.length], ["up", 0], ["down", 0], ["waiting", 0]]);
  for (const row of list) {
    const state = word(row);
    const name = row.dataset.job ?? "";
    const job = jobs.get(name) ?? { up: 0, down: 0, all: 0 };
    jobs.set(name, { up: job.up + Number(state === "up"), down: job.down + Number(state === "down"), all: job.all + 1 });
    healths.set(state, (healths.get(state) ?? 0) + 1);
  }
  for (const link of all<HTMLAnchorElement>("a[data-job]")) {
    const job = jobs.get(link.dataset.job ?? "");
    if (!job) continue;
    setText(link.querySelector("b"), `${job.up}/${job.all}`);
    link.classList.toggle("bad", job.down > 0);
  }
  for (const link of all<HTMLAnchorElement>("a[data-health]")) {
    setText(link.querySelector("b"), String(healths.get(link.dataset.health ?? "") ?? 0));
    if (link.dataset.health === "down") link.classList.toggle("bad", (healths.get("down") ?? 0) > 0);
  }
}

let asking = false;

/** Asks for what changed. Targets that came or went need the server's rows; all else is put into the cells. */
async function follow(): Promise<void> {
  if (asking || !byId("targets", HTMLTableElement) || !isFollowing()) return;
  asking = true;
  try {
    const answer = await fetch(`${prefix}/ui/targets`, { cache: "no-store" });
    if (!answer.ok) return;
    const { now, targets } = (await answer.json()) as Answer;
    const known = new Map(rows().map((row) => [row.id, row]));
    if (targets.length !== known.size || targets.some(([id]) => !known.has(`t-${id}`))) {
      announce("skep:targets");
      return;
    }
    for (const target of targets) {
      const row = known.get(`t-${target[0]}`);
      if (row) update(row, target, now);
    }
    count([...known.values()]);
    filter();
  } catch {
    // The live stream finds out whether the server is gone.
  } finally {
    asking = false;
  }
}

/** Clicks on what would ask the server for another order or choice. A new tab, or a page without scripts, still does. */
function click(event: MouseEvent): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey || !(event.target instanceof Element)) return;
  const link = event.target.closest<HTMLAnchorElement>("a[data-sort], a[data-job], a[data-health]");
  if (!link) return;
  event.preventDefault();
  const { sort: key, job, health } = link.dataset;
  const now = params();
  if (key !== undefined) {
    const falling = (now.get("sort") ?? "state") === key && now.get("order") !== "desc";
    remember({ sort: key, order: falling ? "desc" : "asc" });
    sort();
  } else if (job !== undefined) {
    remember({ job: now.get("job") === job ? "" : job });
    filter();
  } else {
    remember({ health: health ?? "" });
    filter();
  }
}

/** After a part of the page was swapped: the server's rows come in the order and with the filter of its address. */
export function refresh(): void {
  if (byId("targets", HTMLTableElement)) filter();
}

export function start(): void {
  const form = byId("target-filter", HTMLFormElement);
  const input = byId("words", HTMLInputElement);
  if (!form || !input) return;
  input.addEventListener("input", () => {
    remember({ q: input.value.trim() });
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", click);
  document.body.addEventListener("skep:news", () => void follow());
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}
