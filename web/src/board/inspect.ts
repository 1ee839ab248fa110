// What is behind a panel, in a dialog: its data as a table, its queries, what is to be known of them.

import { make } from "../page";
import { asTable } from "./as-table";
import { queryAddress } from "./link";
import type { Panel as Answer } from "./model";
import type { Panel } from "./panel";
import { TableView } from "./table";

type Tab = "data" | "queries";
const TABS: [Tab, string][] = [
  ["data", "Data"],
  ["queries", "Queries"],
];

export function inspect(panel: Panel, first: Tab = "data"): void {
  const { answer } = panel;
  if (!answer) return;
  const dialog = make("dialog", "inspect");
  dialog.setAttribute("aria-label", `${panel.title}: data and queries`);
  const head = make("header");
  const close = make("button", "quiet", "✕");
  close.type = "button";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => dialog.close());
  const body = make("div", "inspect-body");
  const buttons = TABS.map(([tab, word]) => {
    const button = make("button", "quiet", word);
    button.type = "button";
    button.addEventListener("click", () => open(tab));
    return button;
  });
  const tabs = make("div", "inspect-tabs");
  tabs.append(...buttons);
  head.append(make("h2", "", panel.title), tabs, close);
  dialog.append(head, body);
  let table: TableView | null = null;
  const open = (tab: Tab) => {
    table?.remove();
    table = null;
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(TABS[i]![0] === tab)));
    if (tab === "queries") return body.replaceChildren(queries(panel, answer));
    table = new TableView({ body, sync: "", title: () => panel.title, zone: () => "", marks: () => [], sharesTip: () => false, exact: async () => null, chooseFrame: () => undefined });
    table.draw({ ...asTable(answer.picture), frames: undefined });
  };
  dialog.addEventListener("close", () => {
    table?.remove();
    dialog.remove();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  open(answer.picture.kind === "none" ? "queries" : first);
}

function queries(panel: Panel, { queries, notes = [], took_ms }: Answer): HTMLElement {
  const box = make("div", "queries");
  for (const { ref_id, expr, step } of queries) {
    const item = make("section");
    item.append(make("h3", "", `${ref_id} · ${step === 0 ? "at one moment" : `every ${step / 1000} s`}`), make("pre", "", expr));
    box.append(item);
  }
  for (const { text, fix } of notes) {
    const line = make("p", "note", text);
    if (fix) line.append(make("code", "", fix));
    box.append(line);
  }
  const link = make("a", "button", "Open in Query");
  link.href = queryAddress(panel);
  box.append(make("p", "hint", `answered in ${took_ms.toFixed(took_ms < 10 ? 1 : 0)} ms`), link);
  return box;
}
