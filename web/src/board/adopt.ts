// The same dashboard for other variables, as the server makes it, put in the place of the one that is shown. Panels that both
// have keep their pictures until new ones are drawn, and the page stays where it is scrolled to.

import { all } from "../page";

/** What a panel's script has put into its head. */
const OWN = ".own-time, .corner, .menu";

/** The dashboard at an address; `null` where there is none. The browser itself reads the answer as a page, in which nothing runs. */
export function fetchBoard(url: string, signal: AbortSignal): Promise<HTMLElement | null> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.responseType = "document";
    request.onload = () => {
      const page = request.status === 200 ? (request.response as Document | null) : null;
      const root = page?.querySelector<HTMLElement>(".board[data-board]") ?? null;
      resolve(root && document.adoptNode(root));
    };
    request.onerror = request.onabort = () => reject(new Error("The page was not answered."));
    signal.addEventListener("abort", () => request.abort());
    request.send();
  });
}

/** Replaces what is in `root` by what is in `next`. */
export function adopt(root: HTMLElement, next: HTMLElement): void {
  const focused = nameOf(document.activeElement);
  // The page is short while panels are on their way, and browsers scroll it up then.
  const { scrollX, scrollY } = window;
  all<HTMLDetailsElement>("details.row", next).forEach((row) => {
    const old = all<HTMLDetailsElement>("details.row", root).find((other) => titleOf(other) === titleOf(row));
    if (old) row.open = old.open;
  });
  for (const figure of all<HTMLElement>("figure[data-panel]:not([data-kind=text])", next)) {
    const { panel = "", kind = "" } = figure.dataset;
    const old = root.querySelector<HTMLElement>(`figure[data-panel="${CSS.escape(panel)}"][data-kind="${CSS.escape(kind)}"]`);
    if (!old) continue;
    old.className = figure.className;
    takeHead(old, figure);
    figure.replaceWith(old);
  }
  for (const name of ["ask", "again"]) {
    const value = next.dataset[name];
    if (value === undefined) delete root.dataset[name];
    else root.dataset[name] = value;
  }
  root.replaceChildren(...next.childNodes);
  scrollTo(scrollX, scrollY);
  if (focused) queueMicrotask(() => all<HTMLElement>(".chooser, .vars input", root).find((one) => nameOf(one) === focused)?.focus({ preventScroll: true }));
}

function takeHead(old: HTMLElement, next: HTMLElement): void {
  const [head, wanted] = [old, next].map((figure) => figure.querySelector("figcaption"));
  if (!head || !wanted) return;
  for (const child of [...head.childNodes]) if (!(child instanceof Element && child.matches(OWN))) child.remove();
  head.prepend(...wanted.childNodes);
}

function titleOf(row: Element): string {
  return row.querySelector("summary")?.textContent ?? "";
}

/** The variable of a field; empty of anything else. */
function nameOf(element: Element | null): string {
  if (element instanceof HTMLInputElement) return element.name;
  return element instanceof HTMLElement ? (element.dataset.name ?? "") : "";
}
