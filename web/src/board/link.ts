// From a panel to the query page.

import { prefix } from "../page";
import { current } from "../range";
import type { Panel } from "./panel";

/** The query page with the panel's expressions and time. */
export function queryAddress(panel: Panel): string {
  const { from, to } = current();
  const parameters = new URLSearchParams({ from, to });
  const queries = panel.answer?.queries ?? [];
  for (const { expr } of queries) parameters.append("expr", expr);
  if (queries.length > 0 && queries.every(({ step }) => step === 0)) parameters.set("tab", "table");
  return `${prefix}/query?${parameters}`;
}
