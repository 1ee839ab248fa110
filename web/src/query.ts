// The expression boxes: grow with their text, run by Ctrl+Enter, come and go, complete, show where a mistake is.

import { attachCompletion } from "./completion";
import { type Place, attachHighlight } from "./highlight";
import * as past from "./history";
import { all, byId } from "./page";

/** Paints a box anew, with a mistake marked. */
const painters = new WeakMap<HTMLTextAreaElement, (wrong?: Place) => void>();

function grow(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

function prepare(area: HTMLTextAreaElement, form: HTMLFormElement): void {
  grow(area);
  area.addEventListener("input", () => grow(area));
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  painters.set(area, attachHighlight(area));
  attachCompletion(area);
}

function addBox(form: HTMLFormElement, boxes: HTMLElement): void {
  const template = boxes.querySelector(".box");
  if (!template) return;
  const box = template.cloneNode(true) as HTMLElement;
  for (const own of all(".offers, .paint", box)) own.remove();
  const area = box.querySelector("textarea");
  const label = box.querySelector("label");
  if (!area || !label) return;
  const number = boxes.childElementCount + 1;
  area.value = "";
  area.id = label.htmlFor = `expr-${Date.now()}`;
  label.textContent = `Expression ${number}`;
  boxes.append(box);
  prepare(area, form);
  area.focus();
}

/** What was answered: a mistake is marked in its box, the rest is remembered. */
function settle(form: HTMLFormElement, boxes: HTMLElement): void {
  const areas = all<HTMLTextAreaElement>("textarea", boxes);
  const shown = document.querySelector("#live .error pre");
  const mark = shown?.querySelector("mark");
  for (const area of areas) {
    const isWrong = shown?.textContent?.trimEnd() === area.value.trimEnd();
    if (isWrong) area.setAttribute("aria-invalid", "true");
    else area.removeAttribute("aria-invalid");
    const at = mark?.previousSibling?.textContent?.length ?? 0;
    const place: Place = [at, at + (mark?.textContent?.length ?? 0)];
    painters.get(area)?.(isWrong && mark ? place : undefined);
    if (isWrong && mark && document.activeElement === area) area.setSelectionRange(at, Math.min(area.value.length, place[1]));
  }
  const run = new FormData(form).getAll("expr").map(String);
  if (!shown) past.remember(run.filter((expr) => expr.trim() !== ""));
}

export function start(): void {
  const form = byId("query", HTMLFormElement);
  const boxes = byId("boxes", HTMLElement);
  if (!form || !boxes) return;
  for (const area of all<HTMLTextAreaElement>("textarea", boxes)) prepare(area, form);
  byId("add-box", HTMLButtonElement)?.addEventListener("click", () => addBox(form, boxes));
  boxes.addEventListener("click", (event) => {
    const box = event.target instanceof Element ? event.target.closest(".remove")?.closest(".box") : null;
    if (!box) return;
    const area = box.querySelector("textarea");
    if (boxes.childElementCount > 1) box.remove();
    else if (area) area.value = "";
    if (area && boxes.contains(area)) grow(area);
  });
  past.start();
  settle(form, boxes);
  document.addEventListener("htmx:after:swap", () => settle(form, boxes));
  for (const tab of all<HTMLInputElement>('input[name="tab"]', form)) tab.addEventListener("change", () => form.requestSubmit());
  document.body.addEventListener("skep:range", () => {
    // The chart asks for itself; tables and plans are of the server's making.
    if (!form.querySelector<HTMLInputElement>('input[name="tab"][value="chart"]')?.checked) form.requestSubmit();
  });
}
