// Rooms for several numbers: how many beside each other, and how large their letters may be.

import { fontOf } from "./axes";
import type { Orientation } from "./model";

export interface Room {
  columns: number;
  rows: number;
  width: number;
  height: number;
}

/** Pixels between neighbours. */
export const GAP_PX = 6;
/** Of a unit to its number, as the style has it. */
const SMALL = 0.68;
/** Widths of texts were measured at this size. */
const MEASURE_PX = 100;

let pen: CanvasRenderingContext2D | null = null;
/** Widths by text; cleared when it holds as many as this. */
const WIDTHS_MAX = 2000;
const widths = new Map<string, number>();

/** The arrangement in which a tile of the wanted shape (width to height) is largest. */
export function arrange(count: number, width: number, height: number, orientation: Orientation, shape: number): Room {
  const room = (columns: number): Room => {
    const rows = Math.ceil(count / columns);
    return { columns, rows, width: (width - GAP_PX * (columns - 1)) / columns, height: (height - GAP_PX * (rows - 1)) / rows };
  };
  if (orientation === "horizontal") return room(1);
  if (orientation === "vertical") return room(Math.max(1, count));
  const size = ({ width, height }: Room) => Math.min(width, height * shape);
  let best = room(1);
  for (let columns = 2; columns <= count; columns++) {
    const next = room(columns);
    if (size(next) > size(best)) best = next;
  }
  return best;
}

/** The size in which a text fits a box, between two bounds. A unit behind it is set smaller by `SMALL`. */
export function fitSize(text: string, width: number, height: number, least: number, most: number, unit = ""): number {
  const wide = (textWidth(text) + textWidth(unit) * SMALL) / MEASURE_PX;
  return Math.max(least, Math.min(most, height, wide > 0 ? width / wide : most));
}

/** Pixels of a text in letters of a size. */
export function textSize(text: string, size: number): number {
  return (textWidth(text) / MEASURE_PX) * size;
}

function textWidth(text: string): number {
  const known = widths.get(text);
  if (known !== undefined) return known;
  pen ??= document.createElement("canvas").getContext("2d");
  if (!pen) return text.length * MEASURE_PX * 0.6;
  pen.font = `600 ${fontOf().replace(/^\d+px/, `${MEASURE_PX}px`)}`;
  const width = pen.measureText(text).width;
  if (widths.size >= WIDTHS_MAX) widths.clear();
  widths.set(text, width);
  return width;
}

/** Lays tiles out in an element. */
export function layOut(element: HTMLElement, { columns, rows }: Room): void {
  element.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  element.style.gridTemplateRows = `repeat(${rows}, minmax(0, 1fr))`;
}
