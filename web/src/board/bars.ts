// Numbers as bars: even, through the colours of the limits, or in cells as old displays.

import { make } from "../page";
import { css, fade, legible } from "./colour";
import { plain } from "./format";
import type { Band, Bar, BarsPicture } from "./model";
import { drawValue } from "./stat";
import { fitSize, textSize } from "./tiles";

/** Contrast of small letters. */
const CONTRAST = 4.5;
/** Pixels of a cell of a display and the gap behind it. */
const CELL_PX = 8;
/** Rows lower than this have their names at the left. */
const LOW_PX = 46;
const ROW_MIN_PX = 22;
/** Letters of names at the left, and the part of the width that these may have. */
const NAME_PX = 12;
const NAMES_PART = 0.32;

export function drawBars(picture: BarsPicture, width: number, height: number): HTMLElement[] {
  const { bars, orientation } = picture;
  const vertical = orientation === "vertical" || (orientation === "auto" && bars.length > 1 && width > height * 1.4);
  const box = make("div", `bars ${vertical ? "upwards" : "across"}`);
  box.tabIndex = 0;
  const longest = longestOf(bars.map((bar) => plain(bar.value)));
  const widest = longestOf(bars.map((bar) => bar.title));
  const each = (vertical ? width : height) / Math.max(1, bars.length) - 6;
  const wanted = picture.names === "auto" ? (vertical || each >= LOW_PX ? "top" : "left") : picture.names;
  const names = widest === "" ? "hidden" : wanted;
  const size = vertical ? fitSize(longest, each - 4, 28, 10, 28) : fitSize(longest, width * 0.25, Math.max(ROW_MIN_PX, each) * (names === "top" ? 0.38 : 0.6), 11, 30);
  box.classList.add(`names-${names}`);
  // All rows have the same columns, so that bars can be compared.
  box.style.setProperty("--value-width", `${Math.ceil(textSize(longest, size)) + 2}px`);
  box.style.setProperty("--name-width", `${Math.ceil(Math.min(width * NAMES_PART, textSize(widest, NAME_PX))) + 2}px`);
  box.append(...bars.map((bar) => drawBar(bar, picture, vertical, size, names)));
  return [box];
}

function longestOf(texts: string[]): string {
  return texts.reduce((a, b) => (b.length > a.length ? b : a), "");
}

function drawBar(bar: Bar, picture: BarsPicture, vertical: boolean, size: number, names: string): HTMLElement {
  const element = make("div", "bar-row");
  const track = make("div", `track${picture.unfilled && picture.mode !== "lcd" ? " unfilled" : ""}`);
  track.append(fill(bar.part, bar.color, bar.bands, picture.mode, vertical, picture.unfilled));
  const parts: HTMLElement[] = [];
  if (names !== "hidden") {
    const name = make("span", "name", bar.title);
    name.title = bar.title;
    parts.push(name);
  }
  parts.push(track);
  if (picture.value !== "hidden") {
    const value = drawValue(bar.value, size, picture.value === "color" ? legible(bar.color, CONTRAST) : null, bar.links);
    parts.push(value);
  }
  element.append(...parts);
  return element;
}

/** What a bar of a part (0 to 1) is filled with. */
export function fill(part: number, color: string, bands: Band[], mode: "gradient" | "basic" | "lcd", vertical: boolean, unfilled = true): HTMLElement {
  const share = `${Math.round(Math.min(1, Math.max(0, part)) * 1000) / 10}%`;
  const towards = vertical ? "to top" : "to right";
  const bar = make("div", `fill ${mode}`);
  if (mode === "lcd") {
    bar.style.backgroundImage = `linear-gradient(${towards}, ${steps(bands, color, part, unfilled)})`;
    bar.style.setProperty("--cell", `${CELL_PX}px`);
    return bar;
  }
  bar.style[vertical ? "height" : "width"] = share;
  if (mode === "basic") {
    bar.style.background = fade(color, 0.35);
    bar.style.borderColor = css(color);
  } else {
    bar.style.background = `linear-gradient(${towards}, ${upTo(bands, color, part)})`;
  }
  return bar;
}

/** The colours of the limits up to the value, one flowing into the next. */
function upTo(bands: Band[], color: string, part: number): string {
  const passed = bands.filter((band) => band.from < part);
  const stops = passed.map((band) => `${css(band.color)} ${Math.round((band.from / Math.max(part, 1e-9)) * 100)}%`);
  return [...(stops.length > 0 ? stops : [css(color)]), `${css(color)} 100%`].join(", ");
}

/** Each cell in its band's colour, those past the value faint. */
function steps(bands: Band[], color: string, part: number, unfilled: boolean): string {
  const all = bands.length > 0 ? bands : [{ from: 0, color, text: "" }];
  const stops: string[] = [];
  const add = (from: number, to: number, paint: string) => stops.push(`${paint} ${from * 100}% ${to * 100}%`);
  all.forEach((band, i) => {
    const [from, to] = [Math.max(0, band.from), Math.min(1, all[i + 1]?.from ?? 1)];
    if (to <= from) return;
    const lit = Math.min(to, Math.max(from, part));
    if (lit > from) add(from, lit, css(band.color));
    if (to > lit) add(lit, to, unfilled ? fade(band.color, 0.18) : "transparent");
  });
  return stops.join(", ");
}

