// Fingers on a chart: drag across to zoom in, press long for the crosshair; moving up and down scrolls the page.

import type uPlot from "uplot";
import { zoom } from "./range";

const LONG_PRESS_MS = 350;
/** A selection narrower than this was a click. */
const SELECTION_MIN_PX = 4;
/** Movement that is not yet a drag. */
const SLACK_PX = 10;

export function attachTouch(plot: uPlot): void {
  const over = plot.over;
  let from: number | null = null;
  let dragging = false;
  let crosshair = false;
  let timer: number | undefined;
  const position = (event: PointerEvent) => event.clientX - over.getBoundingClientRect().left;

  over.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    from = position(event);
    dragging = crosshair = false;
    const at = from;
    timer = window.setTimeout(() => {
      crosshair = true;
      plot.setCursor({ left: at, top: over.clientHeight / 2 });
    }, LONG_PRESS_MS);
  });
  over.addEventListener("pointermove", (event) => {
    if (from === null || event.pointerType !== "touch") return;
    const left = position(event);
    if (crosshair) plot.setCursor({ left, top: over.clientHeight / 2 });
    else if (dragging || Math.abs(left - from) > SLACK_PX) {
      window.clearTimeout(timer);
      dragging = true;
      plot.setSelect({ left: Math.min(from, left), top: 0, width: Math.abs(left - from), height: over.clientHeight }, false);
    }
  });
  const end = (event: PointerEvent) => {
    window.clearTimeout(timer);
    if (from === null || event.pointerType !== "touch") return;
    from = null;
    if (dragging && event.type === "pointerup") plot.setSelect({ ...plot.select }, true);
    else if (dragging) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  };
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
}

/** The range that was dragged over becomes the page's. */
export function zoomToSelection(plot: uPlot): void {
  const { left, width } = plot.select;
  if (width < SELECTION_MIN_PX) return;
  const at = (position: number) => plot.posToVal(position, "x") * 1000;
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoom(at(left), at(left + width));
}
