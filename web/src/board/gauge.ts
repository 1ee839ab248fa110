// A number on a round scale: the value's arc, around it the bands of the limits.

import { make } from "../page";
import { css, legible } from "./colour";
import type { Dial, GaugePicture } from "./model";
import { drawValue, sized } from "./stat";
import { arc, svg } from "./svg";
import { type Room, arrange, fitSize, layOut } from "./tiles";

/** The scale begins and ends so many turns before and after its top. */
const REACH = 0.34;
const LARGE_CONTRAST = 3;
const RADIUS = 100;
/** Radii of the value's arc, and of the ring of limits. */
const ARC = [70, 92] as const;
const RING = [95, 100] as const;
/** How far below the middle the ends of the scale are, in radii. */
const FOOT = -Math.cos(REACH * 2 * Math.PI);

export function drawGauge(picture: GaugePicture, width: number, height: number): HTMLElement[] {
  const box = make("div", "tiles");
  const room = arrange(picture.dials.length, width, height, picture.orientation, 1.1);
  layOut(box, room);
  box.append(...picture.dials.map((dial) => drawDial(dial, picture, room, picture.dials.length)));
  return [box];
}

function drawDial(dial: Dial, picture: GaugePicture, room: Room, count: number): HTMLElement {
  const element = make("div", "dial");
  const name = dial.title && count > 1;
  const titleRoom = name ? Math.min(22, room.height * 0.18) : 0;
  const labels = picture.labels ? 12 : 0;
  const radius = Math.max(16, Math.min(room.width / 2 - labels * 2, (room.height - titleRoom - labels) / (1 + FOOT + 0.08)));
  const scale = radius / RADIUS;
  const face = make("div", "face");
  face.append(scaleOf(dial, picture, radius));
  const { prefix = "", text, suffix = "" } = dial.value;
  const size = fitSize(text, ARC[0] * 2 * scale * 0.8, radius * 0.5, 9, 72, prefix + suffix);
  face.append(drawValue(dial.value, size, legible(dial.color, LARGE_CONTRAST), dial.links));
  face.style.width = `${radius * 2 + labels * 4}px`;
  element.append(face);
  if (name) element.append(sized(make("span", "name", dial.title), fitSize(dial.title, room.width - 8, titleRoom * 0.7, 10, 15)));
  return element;
}

function scaleOf(dial: Dial, picture: GaugePicture, radius: number): SVGElement {
  const turn = (part: number) => -REACH + Math.min(1, Math.max(0, part)) * 2 * REACH;
  const margin = picture.labels ? 24 * (RADIUS / radius) : 0;
  const high = RADIUS * (1 + FOOT + 0.06) + margin;
  const picturebox = svg("svg", {
    viewBox: `${-RADIUS - 2 * margin} ${-RADIUS - margin / 2} ${2 * RADIUS + 4 * margin} ${high}`,
    "aria-hidden": "true",
  });
  const shape = (from: number, to: number, [inner, outer]: readonly [number, number], color: string) => {
    const path = svg("path", { d: arc(0, 0, inner, outer, turn(from), turn(to)) });
    path.style.fill = color;
    return path;
  };
  picturebox.append(shape(0, 1, ARC, "var(--sunken)"));
  if (dial.part > 0) picturebox.append(shape(0, dial.part, ARC, css(dial.color)));
  dial.bands.forEach((band, i) => {
    if (picture.markers) picturebox.append(shape(band.from, dial.bands[i + 1]?.from ?? 1, RING, css(band.color)));
    if (picture.labels && band.text) picturebox.append(limit(band.text, turn(band.from), RADIUS / radius));
  });
  return picturebox;
}

/** A limit beside the ring, in letters that keep their size. */
function limit(text: string, turn: number, scale: number): SVGElement {
  const angle = (turn - 0.25) * 2 * Math.PI;
  const reach = RADIUS + 5 * scale;
  const anchor = Math.cos(angle) > 0.2 ? "start" : Math.cos(angle) < -0.2 ? "end" : "middle";
  return svg("text", { x: reach * Math.cos(angle), y: reach * Math.sin(angle), "font-size": 10 * scale, "text-anchor": anchor }, text);
}
