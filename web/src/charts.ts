// All charts of the page: which are visible, what they need, when they are asked for.

import { Chart } from "./chart";
import { type Drawn, type Wanted, fetchAll, fetchTail, join } from "./data";
import { all, make, settings } from "./page";
import { isFollowing } from "./live";

/** Widths are rounded up to this, so that charts of nearly the same width share one request. */
const WIDTH_STEP = 100;
/** Charts so close to the window are asked for before they are seen. */
const MARGIN = "200px";

const charts = new Map<HTMLElement, Chart>();
const visible = new Set<Chart>();
/** Charts whose data is not that of the range shown. */
const stale = new Set<Chart>();
let running: AbortController | null = null;
let planned = false;

const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const chart = charts.get(entry.target as HTMLElement);
      if (!chart) continue;
      if (entry.isIntersecting) visible.add(chart);
      else visible.delete(chart);
    }
    plan();
  },
  { rootMargin: MARGIN },
);

/** Asks soon, once for all that became stale meanwhile. */
function plan(): void {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    void refresh();
  });
}

async function refresh(): Promise<void> {
  const due = [...visible].filter((chart) => stale.has(chart));
  if (due.length === 0 || running) return;
  const abort = (running = new AbortController());
  try {
    const answers = await fetchAll(wanted(due), abort.signal);
    for (const chart of due) stale.delete(chart);
    show(due, answers);
  } catch (error) {
    if (!abort.signal.aborted) fail(due, error);
  } finally {
    if (running === abort) running = null;
  }
  if ([...visible].some((chart) => stale.has(chart))) plan();
}

/** New samples: visible charts that are up to date ask for their tail alone, the others when they are seen. */
async function follow(): Promise<void> {
  if (!isFollowing() || running) return;
  const ready = [...visible].filter((chart) => !stale.has(chart) && chart.data !== null);
  for (const chart of charts.values()) if (!ready.includes(chart)) stale.add(chart);
  const grid = ready[0]?.data?.grid;
  const alike = ready.filter((chart) => chart.data?.grid.step === grid?.step);
  for (const chart of ready) if (!alike.includes(chart)) stale.add(chart);
  if (!grid) return plan();
  const abort = (running = new AbortController());
  try {
    const oldest = alike.map((chart) => chart.data!.grid).reduce((a, b) => (end(a) <= end(b) ? a : b));
    const tails = await fetchTail(wanted(alike), oldest, abort.signal);
    const joined = alike.map((chart) => {
      const tail = tails.find((answer) => answer.panel.id === idOf(chart));
      const whole = tail && chart.data ? join(chart.data, tail) : null;
      if (!whole) stale.add(chart);
      return whole;
    });
    show(alike, joined.filter((whole): whole is Drawn => whole !== null));
  } catch {
    // The stream says when the server is back; the charts are asked for in full then.
    if (!abort.signal.aborted) for (const chart of alike) stale.add(chart);
  } finally {
    if (running === abort) running = null;
  }
  plan();
}

function end(grid: { start: number; step: number; count: number }): number {
  return grid.start + grid.step * grid.count;
}

function wanted(due: Chart[]): Wanted {
  const ids = due.map(idOf).filter((id) => id !== "query");
  const query = due.map((chart) => chart.element.closest<HTMLElement>("[data-query]")?.dataset.query ?? "").find(Boolean) ?? "";
  const widest = Math.max(...due.map((chart) => chart.element.clientWidth));
  return { ids, query, width: Math.ceil(widest / WIDTH_STEP) * WIDTH_STEP };
}

function idOf(chart: Chart): string {
  return chart.element.dataset.panel ?? "";
}

function show(due: Chart[], answers: Drawn[]): void {
  for (const chart of due) {
    const drawn = answers.find((answer) => answer.panel.id === idOf(chart));
    if (!drawn) continue;
    chart.draw(drawn);
    if (idOf(chart) === "query") tell(chart, drawn);
  }
}

/** What the query page says of its chart: count, time, remarks. */
function tell(chart: Chart, { panel, grid }: Drawn): void {
  const caption = chart.element.closest("figure")?.querySelector("figcaption p");
  if (!caption) return;
  const shown = panel.series.length < panel.total ? `, the first ${panel.series.length} are shown` : "";
  caption.textContent = `${panel.total} series${shown} · every ${grid.step / 1000} s · ${panel.took_ms.toFixed(panel.took_ms < 10 ? 1 : 0)} ms`;
  const old = chart.element.closest("[data-query]")?.querySelector(".remarks");
  old?.remove();
  if (panel.warnings.length + panel.infos.length === 0) return;
  const remarks = make("div", "remarks");
  for (const text of panel.warnings) remarks.append(make("p", "remark warn", text));
  for (const text of panel.infos) remarks.append(make("p", "remark", text));
  chart.element.closest("[data-query]")?.append(remarks);
}

function fail(due: Chart[], error: unknown): void {
  for (const chart of due) {
    stale.delete(chart);
    // What is drawn stays: the banner says how old it is.
    if (!chart.data) chart.say(error instanceof Error ? error.message : String(error));
  }
}

/** Everything is of another range now. */
function reset(): void {
  running?.abort();
  running = null;
  for (const chart of charts.values()) stale.add(chart);
  plan();
}

/** How the query page's chart is drawn, by the buttons below it. */
function showLooks(): void {
  for (const button of all<HTMLButtonElement>("button[data-look]")) {
    button.setAttribute("aria-pressed", String(settings.get(button.dataset.look ?? "") === "on"));
  }
}

function changeLook(event: Event): void {
  const look = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-look]")?.dataset.look : undefined;
  if (!look) return;
  settings.set(look, settings.get(look) === "on" ? "off" : "on");
  showLooks();
  for (const chart of charts.values()) chart.rebuild();
}

/** Finds charts that came or went with a swap. */
export function scan(): void {
  showLooks();
  for (const [element, chart] of charts) {
    if (element.isConnected) continue;
    observer.unobserve(element);
    charts.delete(element);
    visible.delete(chart);
    stale.delete(chart);
  }
  for (const element of all<HTMLElement>(".plot[data-panel]")) {
    if (charts.has(element)) continue;
    const chart = new Chart(element);
    charts.set(element, chart);
    stale.add(chart);
    observer.observe(element);
  }
}

export function start(): void {
  scan();
  document.addEventListener("click", changeLook);
  const redraw = () => charts.forEach((chart) => chart.rebuild());
  document.body.addEventListener("skep:news", () => void follow());
  document.body.addEventListener("skep:range", reset);
  document.body.addEventListener("skep:zone", redraw);
  document.body.addEventListener("skep:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
