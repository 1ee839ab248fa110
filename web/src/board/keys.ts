// Keys of a dashboard, while no field has the focus: those of Grafana where it has one.

import { zoomOut } from "../range";
import type { Board } from "./board";
import { inspect } from "./inspect";
import * as kiosk from "./kiosk";
import { queryAddress } from "./link";
import { type Panel, closeHeads, isHeadOpen } from "./panel";

export function attachKeys(board: () => Board | null): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const page = board();
    if (page && press(event.key, page)) event.preventDefault();
  });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, select, dialog, [role=listbox]") !== null;
}

function press(key: string, page: Board): boolean {
  const panel = panelOf(page);
  switch (key) {
    case "v":
      panel && page.alone(panel);
      return panel !== null;
    case "i":
      panel && inspect(panel);
      return panel !== null;
    case "x":
      if (panel?.answer?.queries.length) location.assign(queryAddress(panel));
      return panel !== null;
    case "z":
      zoomOut();
      return true;
    case "k":
      kiosk.toggle();
      return true;
    case "r":
      page.reset();
      return true;
    case "Escape":
      return leave(page);
    default:
      return false;
  }
}

/** The panel with the focus or under the pointer, else the one shown alone. */
function panelOf(page: Board): Panel | null {
  const figure = document.activeElement?.closest("figure[data-panel]") ?? document.querySelector("figure[data-panel]:hover, figure.alone");
  return (figure && page.panels.get(figure)) ?? null;
}

/** One thing after the other: menus, the panel shown alone, the kiosk. */
function leave(page: Board): boolean {
  if (isHeadOpen()) {
    closeHeads(null);
    return true;
  }
  const alone = [...page.panels.values()].find((panel) => panel.figure.classList.contains("alone"));
  if (alone) page.alone(alone);
  else if (document.body.classList.contains("kiosk")) kiosk.toggle();
  else return false;
  return true;
}
