// Pictures that are made anew for each answer and each size: elements by hand, no state of their own.

import type { Context, Kind, PictureOf, View } from "./view";

export class StillView<K extends Kind> implements View<K> {
  private picture: PictureOf<K> | null = null;
  private size = "";
  private readonly observer = new ResizeObserver(() => this.resize());

  constructor(
    private readonly context: Context,
    /** Makes the elements for a room in pixels. */
    private readonly build: (picture: PictureOf<K>, width: number, height: number, context: Context) => HTMLElement[],
  ) {
    this.observer.observe(context.body);
  }

  draw(picture: PictureOf<K>): void {
    this.picture = picture;
    this.redraw();
  }

  redraw(): void {
    const { body } = this.context;
    // Without room, in a folded row say, nothing can be laid out; the room's coming draws it.
    if (!this.picture || body.clientWidth === 0 || body.clientHeight === 0) return;
    this.size = this.room();
    body.replaceChildren(...this.build(this.picture, body.clientWidth, body.clientHeight, this.context));
  }

  remove(): void {
    this.observer.disconnect();
  }

  private room(): string {
    return `${this.context.body.clientWidth}x${this.context.body.clientHeight}`;
  }

  private resize(): void {
    if (this.room() !== this.size) this.redraw();
  }
}
