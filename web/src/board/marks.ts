// What happened at points in time, over a picture: lines through it, areas of what lasted, and points of exemplars.

import type uPlot from "uplot";
import { show } from "../zone";
import { fade, paint } from "./colour";
import type { Mark } from "./model";
import type { TipLine } from "./tip";

/** How near the crosshair is to what is told of, and half the size of a point, in pixels. */
const NEAR_PX = 5;

export function drawMarks(plot: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = plot;
  const { left, top, width, height } = bbox;
  const half = NEAR_PX * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([half, half / 2]);
  for (const { at, to, v, color } of marks) {
    const x = plot.valToPos(at / 1000, "x", true);
    ctx.fillStyle = fade(color, 0.12);
    if (to) ctx.fillRect(x, top, plot.valToPos(to / 1000, "x", true) - x, height);
    ctx.fillStyle = ctx.strokeStyle = paint(color);
    ctx.beginPath();
    if (v === undefined) {
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
    }
    const y = v === undefined ? top + height : Math.min(top + height, Math.max(top, plot.valToPos(v, "y0", true)));
    ctx.beginPath();
    ctx.moveTo(x - half, y);
    ctx.lineTo(x, y - half);
    ctx.lineTo(x + half, y);
    ctx.lineTo(x, y + half);
    ctx.fill();
  }
  ctx.restore();
}

/** Lines of a tooltip for the marks at the crosshair. */
export function tellMarks(plot: uPlot, marks: Mark[]): TipLine[] {
  const left = plot.cursor.left ?? -1;
  const x = (at: number) => plot.valToPos(at / 1000, "x");
  const near = marks.filter(({ at, to }) => x(at) - NEAR_PX <= left && left <= x(to ?? at) + NEAR_PX);
  return near.map(({ at, color, title, text }) => ({ color, name: title, value: show(at, "seconds"), full: text ?? "" }));
}
