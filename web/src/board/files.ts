// A panel as a file: its data as CSV, its picture as PNG. Both are made here, without another service.

import { asTable } from "./as-table";
import { paintElement } from "./painter";
import type { Page, Panel } from "./panel";

/** Files are sharper than the window. */
const SCALE_MIN = 2;
/** What programs of tables would take for a formula is kept a text. */
const FORMULA = /^[=+@\t\r]|^-(?![\d.])/;

/** Times in ISO 8601 and numbers as they are. */
export async function csvOf(panel: Panel, page: Page): Promise<Blob> {
  const answer = (await page.whole(panel)) ?? panel.answer;
  const table = asTable(answer!.picture);
  const isTime = table.columns.map(({ title }) => title === "Time" || title === "From" || title === "To" || title === "Since");
  const rows = table.rows.map((row) => row.map((cell, i) => (cell.n === undefined ? cell.t : isTime[i] ? new Date(cell.n).toISOString() : String(cell.n))));
  const lines = [table.columns.map(({ title }) => title), ...rows].map((row) => row.map(quoted).join(","));
  return new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv;charset=utf-8" });
}

function quoted(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export async function pngOf(panel: Panel): Promise<Blob | null> {
  const { width, height } = panel.figure.getBoundingClientRect();
  const scale = Math.max(SCALE_MIN, devicePixelRatio);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.ceil(width * scale), Math.ceil(height * scale)];
  const ctx = canvas.getContext("2d");
  if (!ctx) return null;
  ctx.scale(scale, scale);
  paintElement(ctx, panel.figure, (element) => !element.matches("details, .u-select, .u-cursor-x, .u-cursor-pt"));
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has taken hold of it when the click is over.
  window.setTimeout(() => URL.revokeObjectURL(link.href));
}
