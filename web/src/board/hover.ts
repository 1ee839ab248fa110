// Whether a pointer is on a plot. Fingers leave when they are lifted: what they made visible stays until the next touch.

import type { Tip } from "./tip";

export class Hover {
  inside = false;
  private readonly end = new AbortController();

  constructor(element: HTMLElement, tip: Tip) {
    const { signal } = this.end;
    element.addEventListener("pointerenter", () => (this.inside = true), { signal });
    element.addEventListener(
      "pointerleave",
      ({ pointerType }) => {
        this.inside = false;
        if (pointerType !== "touch") tip.hide();
      },
      { signal },
    );
    const elsewhere = ({ target }: Event) => target instanceof Node && !element.contains(target) && tip.hide();
    document.addEventListener("pointerdown", elsewhere, { signal });
  }

  remove(): void {
    this.end.abort();
  }
}
