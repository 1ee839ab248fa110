// Filter, sort and copy in tables and lists, without asking the server.

import { all, byId, make } from "./page";

let wasFiltering = false;

/** Hides what does not match; groups without a match go too. */
function filter(): void {
  const input = byId("filter", HTMLInputElement);
  if (!input) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const badOnly = byId("filter-bad", HTMLInputElement)?.checked ?? false;
  let shown = 0;
  for (const item of all<HTMLElement>("[data-filter]")) {
    const group = item.closest("[data-filter-group]")?.querySelector("h2, h3")?.textContent ?? "";
    const text = `${group} ${item.textContent ?? ""}`.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word)) || (badOnly && item.dataset.state === "up");
    shown += item.hidden ? 0 : 1;
  }
  for (const group of all<HTMLElement>("[data-filter-group]")) {
    const filtering = words.length > 0 || badOnly;
    group.hidden = !group.querySelector("[data-filter]:not([hidden])") && filtering;
    // Groups that are closed open while something is looked for in them.
    if (group instanceof HTMLDetailsElement && group.hasAttribute("data-opens") && filtering !== wasFiltering) group.open = filtering;
  }
  wasFiltering = words.length > 0 || badOnly;
  const none = byId("filter-none", HTMLElement);
  if (none) none.hidden = shown > 0 || (words.length === 0 && !badOnly);
}

function sort(header: HTMLTableCellElement): void {
  const table = header.closest("table");
  const body = table?.tBodies[0];
  if (!table || !body) return;
  const falling = header.getAttribute("aria-sort") === "ascending";
  for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const key = (row: HTMLTableRowElement) => row.cells[header.cellIndex]?.textContent?.trim() ?? "";
  const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)) * (falling ? -1 : 1));
  body.append(...rows);
}

function compare(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
}

/** Headers become buttons, so that the keyboard reaches them. */
function makeSortable(): void {
  for (const header of all<HTMLTableCellElement>("table[data-sortable] thead th")) {
    if (header.querySelector("button")) continue;
    const button = make("button", "sort", header.textContent ?? "");
    button.type = "button";
    button.addEventListener("click", () => sort(header));
    header.replaceChildren(button);
  }
}

/** Also without HTTPS, where browsers hide the clipboard. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", "offscreen");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function startCopy(): void {
  document.addEventListener("click", (event) => {
    const cell = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-copy]") : null;
    if (!cell || String(getSelection()) !== "") return;
    void copy(cell.dataset.copy ?? "").then(() => {
      cell.classList.add("copied");
      window.setTimeout(() => cell.classList.remove("copied"), 900);
    });
  });
}

/** After a part of the page was swapped. */
export function refresh(): void {
  makeSortable();
  filter();
}

export function start(): void {
  byId("filter", HTMLInputElement)?.addEventListener("input", filter);
  byId("filter-bad", HTMLInputElement)?.addEventListener("change", filter);
  startCopy();
  refresh();
}
