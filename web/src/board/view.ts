// What every kind of picture offers to its panel, and what a panel offers to it.

import type { Mark, Picture, TimePicture } from "./model";

export type Kind = Picture["kind"];
export type PictureOf<K extends Kind> = Extract<Picture, { kind: K }>;

export interface View<K extends Kind> {
  /** Draws the picture, or draws it anew with new values. */
  draw(picture: PictureOf<K>): void;
  /** The theme or the zone changed. */
  redraw(): void;
  /** Gives back what the page does not free by itself. */
  remove(): void;
}

export interface Context {
  /** Where it is drawn. */
  body: HTMLElement;
  /** Panels with this key share their crosshair. */
  sync: string;
  title(): string;
  /** IANA name of the zone that is shown. */
  zone(): string;
  /** What happened meanwhile. */
  marks(): Mark[];
  /** Whether the tooltips of all panels follow the crosshair. */
  sharesTip(): boolean;
  /** The values at one time, in full; `null` where they cannot be had. */
  exact(at: number): Promise<TimePicture | null>;
  /** Of several answers, the one that a table shows. */
  chooseFrame(frame: number): void;
}
