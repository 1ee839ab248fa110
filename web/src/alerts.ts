// Forms of alerts: the author is remembered by this browser, and the expression completes as on the query page.

import { attachCompletion } from "./completion";
import { byId, settings } from "./page";

export function start(): void {
  const author = byId("author", HTMLInputElement);
  if (author) {
    if (author.value === "") author.value = settings.get("author") ?? "";
    author.form?.addEventListener("submit", () => settings.set("author", author.value));
  }
  const expr = byId("alert-expr", HTMLTextAreaElement);
  if (expr) attachCompletion(expr);
}
