// Alerts in a list: state by word and mark, name, labels, since when.

import { make } from "../page";
import { show } from "../zone";
import type { AlertsPicture } from "./model";

const MARKS = { firing: "▲", pending: "◆", normal: "●" } as const;
const CLASSES = { firing: "bad", pending: "warn", normal: "good" } as const;

export function drawAlerts({ alerts, omitted }: AlertsPicture): HTMLElement[] {
  const list = make("ul", "alert-items");
  list.tabIndex = 0;
  for (const { name, state, since, labels, summary } of alerts) {
    const item = make("li");
    item.append(make("span", `state ${CLASSES[state]}`, `${MARKS[state]} ${state}`), make("strong", "", name));
    if (since !== null) item.append(make("span", "since", `since ${show(since, "full")}`));
    if (summary) item.append(make("p", "", summary));
    const box = make("p", "labels");
    box.append(...labels.map((label) => make("span", "tag", label)));
    if (labels.length > 0) item.append(box);
    list.append(item);
  }
  if (omitted > 0) list.append(make("li", "hint", `${omitted} more on the alerts page`));
  return [list];
}
