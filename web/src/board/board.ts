// A dashboard's page: which panels are visible, what they need, when they are asked for.

import { isFollowing } from "../live";
import { all } from "../page";
import { suggest } from "../zone";
import { adopt, fetchBoard } from "./adopt";
import { Asker, type Asked, type Extra } from "./ask";
import { forget } from "./colour";
import { attachKeys } from "./keys";
import * as kiosk from "./kiosk";
import type { Answer, Mark, Panel as PanelAnswer } from "./model";
import { type Page, Panel, closeHeads } from "./panel";
import { startRefresh } from "./refresh";
import * as variables from "./variables";

/** Panels so close to the window are asked for before they are seen. */
const MARGIN = "160px";
/** Below this the grid is one column. */
const NARROW_PX = 640;

class Board implements Page {
  readonly panels = new Map<Element, Panel>();
  marks: Mark[] = [];
  private readonly visible = new Set<Panel>();
  /** Panels whose picture is not that of the range shown. */
  private readonly stale = new Set<Panel>();
  private readonly asker: Asker;
  private running: AbortController | null = null;
  private planned = false;
  private loading: AbortController | null = null;
  private soon: number | undefined;
  /** The variables of the address whose page is shown. */
  private variables = variablesOf(location.search);
  private readonly observer = new IntersectionObserver((entries) => this.see(entries), { rootMargin: MARGIN });

  constructor(readonly root: HTMLElement) {
    this.asker = new Asker(root);
  }

  get uid(): string {
    return this.asker.uid;
  }

  /** Unless the dashboard asks for the line alone. */
  sharesTip(): boolean {
    return this.root.dataset.crosshair !== "line";
  }

  exact(panel: Panel, at: number): Promise<PanelAnswer | null> {
    return this.asker.exact(panel.key, at, this.room());
  }

  async whole(panel: Panel): Promise<PanelAnswer | null> {
    try {
      return (await this.ask([panel], { full: 1 }, new AbortController().signal)).panels[0] ?? null;
    } catch {
      return null; // What is drawn is what can be had.
    }
  }

  alone(panel: Panel): void {
    const url = new URL(location.href);
    if (url.searchParams.get("viewPanel") === panel.key) url.searchParams.delete("viewPanel");
    else url.searchParams.set("viewPanel", panel.key);
    history.pushState({ skep: true }, "", url);
    this.showAlone();
    this.again(panel);
    panel.figure.querySelector<HTMLElement>(".menu summary")?.focus();
  }

  again(panel: Panel): void {
    this.stale.add(panel);
    this.plan();
  }

  /** Shows what the address says: one panel, or all. */
  showAlone(): void {
    const key = new URLSearchParams(location.search).get("viewPanel");
    const wanted = [...this.panels.values()].find((panel) => panel.key === key);
    this.root.classList.toggle("single", wanted !== undefined);
    for (const panel of this.panels.values()) panel.figure.classList.toggle("alone", panel === wanted);
    for (const row of all<HTMLElement>(".row", this.root)) {
      const holds = wanted !== undefined && row.contains(wanted.figure);
      row.classList.toggle("holds-alone", holds);
      if (holds && row instanceof HTMLDetailsElement) row.open = true;
    }
  }

  /** Finds the panels of the page; those that it has already are asked for again. */
  scan(): void {
    for (const figure of all<HTMLElement>("figure[data-panel]", this.root)) {
      const known = this.panels.get(figure);
      if (known) this.stale.add(known);
      if (known) continue;
      const panel = new Panel(figure, this);
      this.panels.set(figure, panel);
      if (panel.isText) continue;
      figure.classList.add("waiting");
      this.stale.add(panel);
      this.observer.observe(figure);
    }
    this.showAlone();
    variables.enhance(this.root, (url) => this.go(url));
    this.listenAgain();
    this.plan();
  }

  close(): void {
    this.running?.abort();
    this.loading?.abort();
    window.clearTimeout(this.soon);
    this.observer.disconnect();
    for (const panel of this.panels.values()) panel.close();
  }

  /** Everything is of another range now. */
  reset(): void {
    this.running?.abort();
    this.running = null;
    for (const panel of this.panels.values()) if (!panel.isText) this.stale.add(panel);
    this.plan();
  }

  /** The address changed by going back or forward, or its time did. */
  move(): void {
    this.showAlone();
    if (variablesOf(location.search) === this.variables) this.reset();
    else void this.load();
  }

  /** Shows the dashboard with other variables. */
  private go(url: URL): void {
    if (url.href === location.href) return;
    history.pushState({ skep: true }, "", url);
    void this.load();
  }

  /** Takes over the page that the address names now, without leaving this one. */
  private async load(): Promise<void> {
    this.loading?.abort();
    const abort = (this.loading = new AbortController());
    this.root.classList.add("loading");
    try {
      const next = await fetchBoard(location.href, abort.signal);
      if (abort.signal.aborted) return;
      if (!next) return location.reload();
      this.variables = variablesOf(location.search);
      this.running?.abort();
      this.running = null;
      adopt(this.root, next);
      for (const [figure, panel] of this.panels) if (!figure.isConnected) this.drop(figure, panel);
      this.scan();
    } catch {
      // The address stands: a page that cannot be fetched says so itself.
      if (!abort.signal.aborted) location.reload();
    } finally {
      if (this.loading === abort) {
        this.loading = null;
        this.root.classList.remove("loading");
      }
    }
  }

  private drop(figure: Element, panel: Panel): void {
    panel.close();
    this.observer.unobserve(figure);
    this.panels.delete(figure);
    this.visible.delete(panel);
    this.stale.delete(panel);
  }

  /** Asks soon for what is empty only because collecting has just begun: the server says of what that may be. */
  private listenAgain(): void {
    window.clearTimeout(this.soon);
    const empty = [...this.visible].filter((panel) => panel.answer?.again);
    const whole = Number(this.root.dataset.again ?? "0");
    const waits = [...empty.map((panel) => panel.answer?.again ?? 0), whole].filter((wait) => wait > 0);
    if (waits.length > 0) this.soon = window.setTimeout(() => this.askAgain(empty, whole > 0), Math.min(...waits));
  }

  private askAgain(empty: Panel[], whole: boolean): void {
    if (document.hidden || !isFollowing() || this.running || this.loading) return this.listenAgain();
    if (whole) return void this.load();
    for (const panel of empty) this.stale.add(panel);
    this.plan();
  }

  redraw(): void {
    forget();
    for (const panel of this.panels.values()) panel.redraw();
  }

  /** New samples: visible panels ask for what is new, the others when they are seen. */
  async follow(): Promise<void> {
    if (this.running) return;
    const ready = [...this.visible].filter((panel) => !this.stale.has(panel));
    for (const panel of this.panels.values()) if (!panel.isText && !ready.includes(panel)) this.stale.add(panel);
    const tails = ready.map((panel) => panel.tailFrom).filter((at) => at !== null);
    if (ready.length > 0) await this.run(ready, tails.length > 0 ? { tail: Math.min(...tails) } : {}, (panel, answer) => panel.extend(answer));
    this.plan();
  }

  private see(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const panel = this.panels.get(target);
      if (!panel) continue;
      if (isIntersecting) this.visible.add(panel);
      else this.visible.delete(panel);
    }
    this.plan();
  }

  /** Asks soon, once for all that became stale meanwhile. */
  private plan(): void {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      void this.refresh();
    });
  }

  private async refresh(): Promise<void> {
    const due = [...this.visible].filter((panel) => this.stale.has(panel));
    if (due.length === 0 || this.running) return;
    const asked = await this.run(due, {}, (panel, answer) => {
      panel.draw(answer);
      return true;
    });
    if (asked && [...this.visible].some((panel) => this.stale.has(panel))) this.plan();
  }

  /** Asks and draws. What was not answered is stale; what failed says so. */
  private async run(due: Panel[], extra: Extra, draw: (panel: Panel, answer: PanelAnswer) => boolean): Promise<boolean> {
    const abort = (this.running = new AbortController());
    try {
      const { panels, marks } = await this.ask(due, extra, abort.signal);
      if (abort.signal.aborted) return false;
      this.marks = marks ?? [];
      const answers = new Map(panels.map((answer) => [answer.key, answer]));
      for (const panel of due) {
        const answer = answers.get(panel.key);
        this.stale.delete(panel);
        if (!answer) panel.fail("The server did not answer for this panel.");
        else if (!draw(panel, answer)) this.stale.add(panel);
      }
      return true;
    } catch (error) {
      if (!abort.signal.aborted) for (const panel of due) this.fail(panel, error);
      return false;
    } finally {
      if (this.running === abort) this.running = null;
      this.listenAgain();
    }
  }

  private fail(panel: Panel, error: unknown): void {
    this.stale.delete(panel);
    panel.fail(error instanceof Error ? error.message : String(error));
  }

  private ask(due: Panel[], extra: Extra, signal: AbortSignal): Promise<Answer> {
    return this.asker.ask({ keys: due.map(({ key }) => key), ...this.room() }, extra, signal);
  }

  private room(): Omit<Asked, "keys"> {
    return { width: this.root.clientWidth, narrow: innerWidth < NARROW_PX, solo: this.root.classList.contains("single") };
  }
}

/** What an address says of variables. */
function variablesOf(search: string): string {
  const named = [...new URLSearchParams(search)].filter(([name]) => variables.OWN.test(name));
  return new URLSearchParams(named).toString();
}

let board: Board | null = null;
let started = false;

/** Begins, or begins anew after a part of the page was swapped. */
export function scan(): void {
  const root = document.querySelector<HTMLElement>(".board[data-board]");
  if (board && board.root === root) return;
  board?.close();
  board = null;
  if (!root) return;
  if (!started) listen();
  suggest(root.dataset.zone ?? "");
  board = new Board(root);
  board.scan();
  startRefresh(root, () => void board?.follow());
}

/** Once for all dashboards that the page will show. */
function listen(): void {
  started = true;
  const { body } = document;
  body.addEventListener("skep:range", () => board?.move());
  body.addEventListener("skep:zone", () => {
    board?.redraw();
    board?.reset();
  });
  body.addEventListener("skep:theme", () => board?.redraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => board?.redraw());
  document.addEventListener("click", (event) => closeHeads(event.target instanceof Node ? event.target : null));
  attachKeys(() => board);
  kiosk.start();
}

export type { Board };
