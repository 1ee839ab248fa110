// The pages' script. Pages are whole without it; it adds charts, live updates and comfort.

import "./trust";
import * as alerts from "./alerts";
import * as charts from "./charts";
import * as lists from "./lists";
import * as live from "./live";
import { announce, byId, settings } from "./page";
import * as query from "./query";
import * as range from "./range";
import * as targets from "./targets";
import * as zone from "./zone";

function startTheme(): void {
  const button = byId("theme", HTMLButtonElement);
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const showState = () => button?.setAttribute("aria-pressed", String(isDark()));
  button?.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    settings.set("theme", root.dataset.theme);
    showState();
    announce("skep:theme");
  });
  showState();
}

/** Dashboards have a script of their own, which other pages do not load. */
async function startBoard(): Promise<void> {
  if (document.querySelector(".board[data-board]")) (await import("./board/board")).scan();
}

startTheme();
zone.start();
range.start();
charts.start();
lists.start();
query.start();
targets.start();
alerts.start();
void startBoard();
live.start();

document.addEventListener("htmx:after:swap", () => {
  zone.rewrite();
  lists.refresh();
  targets.refresh();
  charts.scan();
  void startBoard();
});
// A part that could not be fetched stays as it is: the live stream finds out whether the server is gone.
document.addEventListener("htmx:error", (event) => event.preventDefault());
