// Pages of a long picture: back, where, on.

import { make } from "../page";

export function drawPager(element: HTMLElement, page: number, pages: number, go: (page: number) => void): void {
  const step = (by: number, word: string, mark: string) => {
    const button = make("button", "quiet", mark);
    button.type = "button";
    button.setAttribute("aria-label", word);
    button.disabled = page + by < 0 || page + by >= pages;
    button.addEventListener("click", () => go(page + by));
    return button;
  };
  element.replaceChildren(step(-1, "Page before", "‹"), make("span", "", `${page + 1} / ${pages}`), step(1, "Next page", "›"));
}
