// The menu of a panel: alone, in the query page, its data, its files.

import { make } from "../page";
import { csvOf, pngOf, save } from "./files";
import { inspect } from "./inspect";
import { queryAddress } from "./link";
import type { Page, Panel } from "./panel";

export function attachMenu(panel: Panel, page: Page): void {
  const menu = make("details", "menu");
  const mark = make("summary", "", "⋮");
  mark.setAttribute("aria-label", `Menu of ${panel.title}`);
  mark.title = "Menu";
  const list = make("ul");
  menu.append(mark, list);
  menu.addEventListener("toggle", () => menu.open && fill(list, menu, panel, page));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    mark.focus();
    event.stopPropagation();
  });
  panel.figure.querySelector("figcaption")?.append(menu);
}

/** The entries, made when they are looked at: addresses and queries change. */
function fill(list: HTMLElement, menu: HTMLDetailsElement, panel: Panel, page: Page): void {
  const { answer } = panel;
  const isAlone = panel.figure.classList.contains("alone");
  const button = (word: string, hint: string, act: () => void) => {
    const item = make("li");
    const entry = make("button", "", word);
    entry.type = "button";
    if (hint) entry.append(make("kbd", "", hint));
    entry.addEventListener("click", () => {
      menu.open = false;
      menu.querySelector("summary")?.focus();
      act();
    });
    item.append(entry);
    return item;
  };
  const entries = [button(isAlone ? "Back to the dashboard" : "View alone", "v", () => page.alone(panel))];
  if (answer && answer.queries.length > 0) entries.push(queryLink(panel));
  if (answer && answer.picture.kind !== "none") {
    entries.push(button("Show as table", "i", () => inspect(panel)));
    entries.push(button("Save as CSV", "", () => void csvOf(panel, page).then((csv) => save(csv, `${fileName(panel)}.csv`))));
    entries.push(button("Save as PNG", "", () => void pngOf(panel).then((png) => png && save(png, `${fileName(panel)}.png`))));
  }
  if (answer && answer.queries.length > 0) entries.push(button("Queries", "", () => inspect(panel, "queries")));
  list.replaceChildren(...entries);
}

function queryLink(panel: Panel): HTMLLIElement {
  const item = make("li");
  const link = make("a", "", "Open in Query");
  link.href = queryAddress(panel);
  link.append(make("kbd", "", "x"));
  item.append(link);
  return item;
}

function fileName(panel: Panel): string {
  return panel.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "panel";
}
