// A panel: its head, its notes, and the view that draws its picture.

import { all, make } from "../page";
import { zoneName } from "../zone";
import { drawAlerts } from "./alerts";
import { drawBars } from "./bars";
import { drawGauge } from "./gauge";
import { HeatmapView } from "./heatmap";
import { attachMenu } from "./menu";
import type { Mark, Note, Panel as Answer, TimePicture } from "./model";
import { PieView } from "./pie";
import { drawStat } from "./stat";
import { StatesView } from "./states";
import { StillView } from "./still";
import { TableView } from "./table";
import { TimeView } from "./time";
import type { Context, Kind, View } from "./view";

const MARKS = { error: "!", warning: "!", info: "i", empty: "i" } as const;
const WORDS = { error: "Error", warning: "Warning", info: "Note", empty: "Note" } as const;

/** What the page offers to its panels. */
export interface Page {
  uid: string;
  /** Of the whole page. */
  marks: Mark[];
  sharesTip(): boolean;
  exact(panel: Panel, at: number): Promise<Answer | null>;
  /** The panel with values that are not rounded. */
  whole(panel: Panel): Promise<Answer | null>;
  /** Shows one panel alone, or all again. */
  alone(panel: Panel): void;
  /** Asks for a panel as the address now says. */
  again(panel: Panel): void;
}

export class Panel {
  readonly key: string;
  readonly kind: string;
  readonly body: HTMLElement;
  private readonly corner = make("details", "corner");
  private readonly span = make("span", "own-time");
  private view: View<Kind> | null = null;
  private drawnKind: Kind = "none";
  private answered: Answer | null = null;

  constructor(
    readonly figure: HTMLElement,
    private readonly page: Page,
  ) {
    this.key = figure.dataset.panel ?? "";
    this.kind = figure.dataset.kind ?? "";
    this.body = figure.querySelector<HTMLElement>(".picture") ?? figure.appendChild(make("div", "picture"));
    for (const name of ["role", "tabindex", "aria-label"]) this.body.removeAttribute(name);
    if (this.isText) this.body.tabIndex = 0;
    const head = figure.querySelector("figcaption");
    head?.append(this.span, this.corner);
    this.corner.hidden = this.span.hidden = true;
    attachMenu(this, page);
  }

  /** The last answer, a tail joined to what was there. */
  get answer(): Answer | null {
    return this.answered;
  }

  get title(): string {
    return this.figure.querySelector("h3")?.textContent?.trim() || "Panel";
  }

  get isText(): boolean {
    return this.kind === "text";
  }

  draw(answer: Answer): void {
    this.answered = answer;
    const { picture } = answer;
    this.span.textContent = answer.time ?? "";
    this.span.hidden = !answer.time;
    this.figure.classList.remove("waiting");
    if (picture.kind === "none") return this.say(answer.notes ?? []);
    this.drawCorner(answer.notes ?? []);
    if (!this.view || this.drawnKind !== picture.kind) this.open(picture.kind);
    this.view?.draw(picture);
  }

  /** Puts a tail behind what is drawn. `false` where the whole has to be asked for. */
  extend(tail: Answer): boolean {
    if (tail.picture.kind !== "time") {
      this.draw(tail);
      return true;
    }
    const whole = this.view instanceof TimeView ? this.view.joined(tail.picture) : null;
    if (whole) this.draw({ ...tail, picture: { kind: "time", ...whole } });
    return whole !== null;
  }

  /** From when on a tail has to tell; `null` where there is nothing to put it behind. */
  get tailFrom(): number | null {
    return this.view instanceof TimeView ? this.view.tailFrom : null;
  }

  /** Sentences instead of a picture. */
  say(notes: Note[]): void {
    this.close();
    const box = make("div", "none");
    // It scrolls where it is longer than the panel.
    box.tabIndex = 0;
    for (const { level, text, fix } of notes) {
      const line = make("p", level, level === "error" ? `Error: ${text}` : text);
      box.append(line);
      if (fix) box.append(make("code", "", fix));
    }
    if (notes.length === 0) box.append(make("p", "empty", "No data in this range."));
    this.corner.hidden = true;
    this.body.replaceChildren(box);
  }

  fail(reason: string): void {
    this.figure.classList.remove("waiting");
    // What is drawn stays: the banner says how old it is.
    if (!this.view) this.say([{ level: "error", text: reason }]);
  }

  redraw(): void {
    this.view?.redraw();
  }

  close(): void {
    this.view?.remove();
    this.view = null;
    this.drawnKind = "none";
    this.body.classList.remove("beside");
  }

  private open(kind: Kind): void {
    this.close();
    this.body.replaceChildren();
    this.drawnKind = kind;
    this.body.dataset.drawn = kind;
    this.view = viewOf(kind, {
      body: this.body,
      marks: () => this.page.marks.filter(({ without }) => !without?.includes(this.key)),
      sync: this.page.uid,
      title: () => this.title,
      zone: zoneName,
      sharesTip: () => this.page.sharesTip(),
      exact: async (at) => exactPicture(await this.page.exact(this, at)),
      chooseFrame: (frame) => this.chooseFrame(frame),
    });
  }

  /** Which of several answers a table shows is a part of the address. */
  private chooseFrame(frame: number): void {
    const url = new URL(location.href);
    url.searchParams.set(`frame.${this.key}`, String(frame));
    history.replaceState(history.state, "", url);
    this.page.again(this);
  }

  private drawCorner(notes: Note[]): void {
    this.corner.hidden = notes.length === 0;
    if (notes.length === 0) return;
    const worst = notes.find(({ level }) => level === "error") ?? notes.find(({ level }) => level === "warning") ?? notes[0]!;
    const mark = make("summary", worst.level, MARKS[worst.level]);
    mark.setAttribute("aria-label", `${WORDS[worst.level]} about ${this.title}`);
    const list = make("ul");
    for (const { text, fix } of notes) {
      const item = make("li", "", text);
      if (fix) item.append(make("code", "", fix));
      list.append(item);
    }
    this.corner.replaceChildren(mark, list);
  }
}

function exactPicture(answer: Answer | null): TimePicture | null {
  return answer?.picture.kind === "time" ? answer.picture : null;
}

function viewOf(kind: Kind, context: Context): View<Kind> | null {
  const views: Partial<Record<Kind, () => unknown>> = {
    time: () => new TimeView(context),
    table: () => new TableView(context),
    heatmap: () => new HeatmapView(context),
    states: () => new StatesView(context),
    pie: () => new PieView(context),
    stat: () => new StillView<"stat">(context, drawStat),
    gauge: () => new StillView<"gauge">(context, drawGauge),
    bars: () => new StillView<"bars">(context, drawBars),
    alerts: () => new StillView<"alerts">(context, drawAlerts),
  };
  return (views[kind]?.() as View<Kind> | undefined) ?? null;
}

const HEADS = ".board :is(.menu, .corner, .about-panel, .losses)[open]";

/** Whether anything in the head of a panel is open. */
export function isHeadOpen(): boolean {
  return document.querySelector(HEADS) !== null;
}

/** Closes what is open in the heads of panels, other than `except`. */
export function closeHeads(except: Node | null): void {
  for (const open of all<HTMLDetailsElement>(HEADS)) {
    if (!except || !open.contains(except)) open.open = false;
  }
}
