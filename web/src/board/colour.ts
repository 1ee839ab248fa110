// Colours of the contract: hues of the page's palette by name, or `#rrggbb[aa]`, for elements and for canvases.

import type { Color } from "./model";

const NAMED = /^(s[0-7]|text|muted|grid|line|surface|sunken)$/;
const HEX = /^#(?:[0-9a-f]{6}|[0-9a-f]{8})$/i;
/** What the page's variables are now, until the theme changes. */
let painted = new Map<string, string>();

/** For an element's style: follows the theme by itself. */
export function css(color: Color): string {
  if (NAMED.test(color)) return `var(--${color})`;
  return HEX.test(color) ? color : "var(--muted)";
}

/** For a canvas, which knows no variables: `#rrggbb` or `#rrggbbaa`. */
export function paint(color: Color): string {
  if (HEX.test(color)) return color;
  const name = NAMED.test(color) ? color : "muted";
  let value = painted.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    painted.set(name, value);
  }
  return value;
}

/** Whether the page is light on dark. */
export function isDark(): boolean {
  return luminance("surface") < 0.5;
}

/** The theme changed. */
export function forget(): void {
  painted = new Map();
}

/** The colour with so much of its opacity, 0 to 1. */
export function fade(color: Color, opacity: number): string {
  const [red, green, blue, alpha] = channels(color);
  return `#${hex(red)}${hex(green)}${hex(blue)}${hex(alpha * 255 * Math.min(1, Math.max(0, opacity)))}`;
}

/** The colour so far, 0 to 1, on the way to another one. */
export function mix(from: Color, to: Color, part: number): string {
  const [a, b] = [channels(from), channels(to)];
  const at = (i: number) => hex(a[i]! + (b[i]! - a[i]!) * part);
  return `#${at(0)}${at(1)}${at(2)}`;
}

/** Black or white, whichever is read better on the colour. */
export function inkOn(color: Color): string {
  const light = luminance(color);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

/** The colour, brought so far towards that of texts that it can be read on the ground. */
export function legible(color: Color, ratio: number, ground: Color = "surface"): string {
  for (let part = 0; part < 1; part += 0.1) {
    const mixed = mix(color, "text", part);
    if (contrast(mixed, ground) >= ratio) return mixed;
  }
  return paint("text");
}

/** As WCAG counts it: 1 to 21. */
function contrast(a: Color, b: Color): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

function luminance(color: Color): number {
  const [red, green, blue] = channels(color).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** Red, green, blue to 255, opacity to 1. */
function channels(color: Color): [number, number, number, number] {
  const text = paint(color);
  const at = (i: number) => parseInt(text.slice(i, i + 2), 16);
  return [at(1), at(3), at(5), text.length === 9 ? at(7) / 255 : 1];
}

function hex(value: number): string {
  return Math.round(value).toString(16).padStart(2, "0");
}
