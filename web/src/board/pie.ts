// Parts of a whole: a pie or a ring, and its list.

import { make } from "../page";
import { css, inkOn } from "./colour";
import { plain } from "./format";
import { type Entry, LegendView, choose } from "./legend";
import type { Calc, Part, PieLabel, PiePicture } from "./model";
import { arc, svg } from "./svg";
import { Tip, anchor } from "./tip";
import type { Context, View } from "./view";

const RADIUS = 100;
/** The open middle of a ring. */
const HOLE = 62;
/** Parts smaller than this have no room for letters. */
const LABEL_PART = 0.05;
const LETTER = 11;

export class PieView implements View<"pie"> {
  private readonly box = make("div", "round");
  private readonly tip = new Tip();
  private readonly legend = new LegendView({ choose: (place, more) => this.choose(place, more), point: () => undefined });
  private picture: PiePicture | null = null;
  private hidden: ReadonlySet<string> = new Set();

  constructor(private readonly context: Context) {
    this.box.setAttribute("role", "img");
    context.body.replaceChildren(this.box, this.legend.element);
    this.box.addEventListener("mouseleave", () => this.tip.hide());
  }

  draw(picture: PiePicture): void {
    this.picture = picture;
    this.redraw();
  }

  redraw(): void {
    const { picture } = this;
    if (!picture) return;
    this.context.body.classList.toggle("beside", picture.legend.right);
    const shown = picture.parts.filter((part) => !this.hidden.has(part.title));
    const whole = shown.reduce((sum, part) => sum + part.part, 0) || 1;
    const face = svg("svg", { viewBox: `${-RADIUS} ${-RADIUS} ${2 * RADIUS} ${2 * RADIUS}`, "aria-hidden": "true" });
    let from = 0;
    const labels: SVGElement[] = [];
    for (const part of shown) {
      const to = from + part.part / whole;
      face.append(this.slice(part, from, to));
      if (picture.labels.length > 0 && to - from >= LABEL_PART) labels.push(label(part, picture, (from + to) / 2));
      from = to;
    }
    face.append(...labels);
    this.box.replaceChildren(face);
    const words = shown.map((part) => `${part.title}: ${plain(part.value)} (${part.percent})`).join("; ");
    this.box.setAttribute("aria-label", `${this.context.title()}. ${words}`);
    this.drawLegend();
  }

  remove(): void {
    this.tip.remove();
  }

  private slice(part: Part, from: number, to: number): SVGElement {
    const path = svg("path", { d: arc(0, 0, this.picture!.donut ? HOLE : 0, RADIUS, from, to), class: "slice" });
    path.style.fill = css(part.color);
    path.addEventListener("mousemove", (event) => {
      this.tip.show(event.clientX, event.clientY, part.percent, [{ color: part.color, name: part.title, value: plain(part.value) }]);
    });
    const link = part.links?.[0];
    if (link) path.addEventListener("click", () => anchor(link).click());
    return path;
  }

  private drawLegend(): void {
    const { legend, parts, values } = this.picture!;
    const entries: Entry[] = legend.order.flatMap((place) => {
      const part = parts[place];
      return part && !part.quiet ? [{ place, name: part.title, color: part.color, calcs: values.map((value) => calc(part, value)) }] : [];
    });
    const columns = values.map((value) => (value === "percent" ? "Percent" : value === "value" ? "Value" : "Name"));
    this.legend.draw({ ...legend, columns }, entries, this.hidden);
  }

  private choose(place: number, more: boolean): void {
    const { parts } = this.picture!;
    this.hidden = choose(parts.map(({ title }) => title), this.hidden, parts[place]!.title, more);
    this.redraw();
  }
}

function calc(part: Part, value: PieLabel): Calc {
  return { text: words(part, value), n: part.part };
}

function words(part: Part, label: PieLabel): string {
  return label === "percent" ? part.percent : label === "value" ? plain(part.value) : part.title;
}

function label(part: Part, { labels, donut }: PiePicture, turn: number): SVGElement {
  const angle = (turn - 0.25) * 2 * Math.PI;
  const reach = donut ? (RADIUS + HOLE) / 2 : RADIUS * 0.66;
  const [x, y] = [reach * Math.cos(angle), reach * Math.sin(angle) - ((labels.length - 1) * LETTER) / 2];
  const lines = labels.map((one, i) => svg("tspan", { x, y: y + i * LETTER * 1.2 }, words(part, one)));
  return svg("text", { "text-anchor": "middle", "dominant-baseline": "central", "font-size": LETTER, fill: inkOn(part.color) }, ...lines);
}
