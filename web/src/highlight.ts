// Colours in an expression box: the same text painted over the box, whose own letters are not seen then. The box stays a plain
// one to keyboards, screen readers and completion.

import { make } from "./page";

/** Comments, strings, numbers with durations, names, operators; anything else letter by letter. */
const TOKEN = /(#[^\n]*)|("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|`[^`]*`?)|(\$\w+|\b\d[\w.]*)|([a-zA-Z_:][\w:]*)|([-+*/%^<>=!~@]+)|[^]/g;
const GROUPINGS = /^(?:by|without|on|ignoring|group_left|group_right)$/i;
const KEYWORDS = /^(?:offset|unless|and|or|bool|atan2|inf|nan)$/i;

/** A place in the text, from and to. */
export type Place = [number, number];

/** Paints a box's text now and after each change; the answer paints it anew, with a mistake marked. */
export function attachHighlight(area: HTMLTextAreaElement): (wrong?: Place) => void {
  const canvas = make("div", "paint");
  canvas.setAttribute("aria-hidden", "true");
  area.after(canvas);
  area.classList.add("painted");
  const paint = (wrong?: Place) => canvas.replaceChildren(...tokens(area.value, wrong), "\n");
  area.addEventListener("input", () => paint());
  paint();
  return paint;
}

function tokens(text: string, wrong?: Place): Node[] {
  const nodes: Node[] = [];
  let inBraces = false;
  let grouping = false;
  let inGroup = false;
  for (const match of text.matchAll(TOKEN)) {
    const [token, comment, string, number, name, operator] = match;
    const end = match.index + token.length;
    let look = comment ? "t-comment" : string ? "t-string" : number ? "t-number" : operator ? "t-operator" : "";
    if (name) {
      const isGrouping = GROUPINGS.test(name) && !inBraces && !inGroup;
      look = isGrouping || (KEYWORDS.test(name) && !inBraces) ? "t-keyword" : inBraces || inGroup ? "t-label" : /^\s*\(/.test(text.slice(end)) || isAggregation(text, end) ? "t-function" : "";
      grouping = isGrouping;
    }
    if (token === "{") inBraces = true;
    else if (token === "}") inBraces = false;
    else if (token === "(" && grouping) inGroup = true;
    else if (token === ")") inGroup = false;
    if (token.trim() !== "" && !name) grouping = false;
    const isWrong = wrong && match.index < wrong[1] && end > wrong[0];
    nodes.push(look || isWrong ? make("span", isWrong ? `${look} t-wrong` : look, token) : new Text(token));
  }
  return nodes;
}

/** `sum by (job) (…)` */
function isAggregation(text: string, end: number): boolean {
  return /^\s+(?:by|without)\s*\(/i.test(text.slice(end));
}
