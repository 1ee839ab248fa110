// One number in large, or several: name, value, a small picture behind.

import { make } from "../page";
import { css, fade, inkOn, legible, mix } from "./colour";
import { plain } from "./format";
import type { Link, StatPicture, Text, Tile } from "./model";
import { spark, svg } from "./svg";
import { type Room, arrange, fitSize, layOut } from "./tiles";
import { anchor } from "./tip";

/** Tiles are best twice as wide as high. */
const SHAPE = 2;
/** From this shape on name and value stand beside each other. */
const WIDE = 3.2;
const TITLE_PX = [11, 20] as const;
const VALUE_PX = [13, 96] as const;
/** Room of the change behind the value. */
const CHANGE_PX = 64;
const NONE: Text = { text: "" };
/** Contrast of large letters. */
const LARGE_CONTRAST = 3;

export function drawStat(picture: StatPicture, width: number, height: number): HTMLElement[] {
  const box = make("div", `tiles color-${picture.color}`);
  const room = arrange(picture.tiles.length, width, height, picture.orientation, SHAPE);
  layOut(box, room);
  const longest = picture.tiles.map(({ value }) => value ?? NONE).reduce((a, b) => (plain(b).length > plain(a).length ? b : a), NONE);
  box.append(...picture.tiles.map((tile) => drawTile(tile, picture, room, longest)));
  return [box];
}

function drawTile(tile: Tile, picture: StatPicture, room: Room, longest: Text): HTMLElement {
  const wide = tile.title !== "" && room.width / room.height > WIDE;
  const centered = picture.centered || tile.title === "" || !tile.value;
  const element = make("div", `tile${wide ? " wide-tile" : ""}${centered ? " centered" : ""}`);
  const solid = picture.color === "background" || picture.color === "background_solid";
  if (solid) ground(element, tile.color, picture.color === "background");
  if (tile.spark && tile.spark.length > 1) element.append(behind(tile, room, solid));
  const text = make("div", "words");
  const titleSize = picture.title_size ?? fitSize(tile.title, room.width - 16, room.height * 0.22, ...TITLE_PX);
  if (tile.title) text.append(sized(make("span", "name", tile.title), titleSize));
  if (tile.value) {
    const size = picture.value_size ?? valueSize(longest, tile, room, wide);
    const color = picture.color === "value" ? legible(tile.color, LARGE_CONTRAST) : null;
    const value = drawValue(tile.value, size, color, tile.links);
    if (tile.change) value.append(change(tile.change));
    text.append(value);
  }
  element.append(text);
  return element;
}

function valueSize(longest: Text, tile: Tile, room: Room, wide: boolean): number {
  const change = tile.change ? CHANGE_PX : 0;
  const [width, height] = wide ? [room.width * 0.5 - change, room.height * 0.8] : [room.width - 16 - change, room.height * (tile.title ? 0.5 : tile.spark ? 0.55 : 0.7)];
  return fitSize(longest.text, width, height, ...VALUE_PX, (longest.prefix ?? "") + (longest.suffix ?? ""));
}

/** A value whose unit is set smaller. */
export function drawValue(value: Text, size: number, color: string | null, links: Link[] | undefined): HTMLElement {
  const element = links?.[0] ? anchor({ ...links[0], title: " " }) : make("b");
  element.classList.add("value");
  element.title = links?.[0]?.title ?? plain(value);
  element.replaceChildren();
  if (value.prefix) element.append(make("small", "", value.prefix));
  element.append(value.text);
  if (value.suffix) element.append(make("small", "", value.suffix));
  if (color) element.style.color = color;
  return sized(element, size);
}

export function sized<E extends HTMLElement>(element: E, size: number): E {
  element.style.fontSize = `${Math.round(size * 10) / 10}px`;
  return element;
}

function ground(element: HTMLElement, color: string, fading: boolean): void {
  const dark = mix(color, "#000000", 0.22);
  element.style.background = fading ? `linear-gradient(120deg, ${dark}, ${css(color)})` : css(color);
  element.style.color = inkOn(fading ? mix(color, "#000000", 0.11) : color);
}

function behind(tile: Tile, { width, height }: Room, solid: boolean): SVGElement {
  const tall = Math.round(height * (tile.title || tile.value ? 0.42 : 1));
  const { line, area } = spark(tile.spark!, Math.round(width), tall);
  const color = solid ? inkOn(tile.color) : tile.color;
  const picture = svg("svg", { class: "spark", viewBox: `0 0 ${Math.round(width)} ${tall}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(svg("path", { d: area, fill: fade(color, solid ? 0.18 : 0.2) }));
  picture.append(svg("path", { d: line, fill: "none", stroke: fade(color, solid ? 0.6 : 1), "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
  return picture;
}

function change({ text, up }: { text: string; up: boolean }): HTMLElement {
  return make("span", `change ${up ? "up" : "down"}`, `${up ? "▲" : "▼"} ${text}`);
}
