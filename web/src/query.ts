// The expression boxes: grow with their text, run by Ctrl+Enter, come and go, and complete.

import { attachCompletion } from "./completion";
import { all, byId } from "./page";

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
  attachCompletion(area);
}

function addBox(form: HTMLFormElement, boxes: HTMLElement): void {
  const template = boxes.querySelector(".box");
  if (!template) return;
  const box = template.cloneNode(true) as HTMLElement;
  for (const list of all(".offers", box)) list.remove();
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
  for (const tab of all<HTMLInputElement>('input[name="tab"]', form)) tab.addEventListener("change", () => form.requestSubmit());
  document.body.addEventListener("skep:range", () => {
    // The chart asks for itself; tables and plans are of the server's making.
    if (!form.querySelector<HTMLInputElement>('input[name="tab"][value="chart"]')?.checked) form.requestSubmit();
  });
}
