// Asks for the pictures of panels: all that are wanted in one request.

import { prefix } from "../page";
import { current } from "../range";
import { zoneName } from "../zone";
import type { Answer, Panel } from "./model";

/** Widths are rounded up to this, so that the server keeps one answer for windows of nearly the same width. */
const WIDTH_STEP = 100;
/** A tooltip that waits longer for full values is not looked at any more. */
const EXACT_TIMEOUT_MS = 5000;
/** Parameters of the address that are the page's own. */
const OWN = ["viewPanel", "kiosk", "refresh", "panels"];

export interface Asked {
  keys: string[];
  /** Width of the grid, and whether panels stand in one column. */
  width: number;
  narrow: boolean;
  /** One panel has it all. */
  solo: boolean;
}

export type Extra = { tail: number } | { exact: number } | { full: 1 } | Record<string, never>;

export class Asker {
  constructor(private readonly root: HTMLElement) {}

  get uid(): string {
    return this.root.dataset.board ?? "";
  }

  async ask({ keys, width, narrow, solo }: Asked, extra: Extra, signal: AbortSignal): Promise<Answer> {
    const parameters = this.parameters();
    parameters.set("panels", keys.join(","));
    parameters.set("w", String(Math.ceil(width / WIDTH_STEP) * WIDTH_STEP));
    if (narrow) parameters.set("narrow", "1");
    if (solo) parameters.set("solo", "1");
    parameters.set("tz", zoneName());
    for (const [name, value] of Object.entries(extra)) parameters.set(name, String(value));
    const answer = await fetch(`${prefix}/ui/board/${encodeURIComponent(this.uid)}?${parameters}`, { signal, cache: "no-store" });
    const body = (await answer.json()) as Answer;
    if (!answer.ok) throw new Error(`${body.error ?? answer.statusText}. ${body.detail ?? ""}`.trim());
    return body;
  }

  async exact(key: string, at: number, asked: Omit<Asked, "keys">): Promise<Panel | null> {
    try {
      const answer = await this.ask({ ...asked, keys: [key] }, { exact: at }, AbortSignal.timeout(EXACT_TIMEOUT_MS));
      return answer.panels[0] ?? null;
    } catch {
      return null; // A lost connection has its own banner.
    }
  }

  /** The address as it is now; what the server chose for variables stands in for those that it does not name. */
  private parameters(): URLSearchParams {
    const parameters = new URLSearchParams(location.search);
    const chosen = new URLSearchParams(this.root.dataset.ask ?? "");
    const named = new Set(parameters.keys());
    for (const [name, value] of chosen) if (name.startsWith("var-") && !named.has(name)) parameters.append(name, value);
    for (const name of OWN) parameters.delete(name);
    const { from, to } = current();
    parameters.set("from", from);
    parameters.set("to", to);
    return parameters;
  }
}
