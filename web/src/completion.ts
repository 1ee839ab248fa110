// Completion in an expression box: metrics with their types, functions and keywords, label names inside braces and groupings,
// values inside quotes, durations inside brackets. The list is an ARIA listbox that the box controls; the focus stays in the box. (A textarea may not be a combobox, so the active option alone
// tells screen readers that the list is open.)

import { byId, make, prefix } from "./page";

interface Offer {
  text: string;
  /** A metric's type, or what else it is. */
  kind: string;
  help: string;
}

/** What is being typed, and where it begins. */
interface Word {
  start: number;
  text: string;
  what: "metrics" | "labels" | "values" | "durations";
  metric: string;
  label: string;
}

/** Wait after a key, so that a fast typist asks once. */
const PAUSE_MS = 120;
const DURATIONS: [string, string][] = [
  ["$__rate_interval", "four collections, and as long as a step of the chart"],
  ["1m", "a minute"],
  ["5m", "five minutes"],
  ["15m", "a quarter of an hour"],
  ["30m", "half an hour"],
  ["1h", "an hour"],
  ["6h", "six hours"],
  ["1d", "a day"],
  ["7d", "a week"],
  ["30d", "thirty days"],
];
let lists = 0;

/** Finds the word before the caret and what it may become. */
export function wordAt(text: string, caret: number): Word | null {
  const before = text.slice(0, caret);
  const brace = openBrace(before);
  if (brace >= 0) {
    const inside = before.slice(brace + 1);
    const metric = /([a-zA-Z_:][\w:]*)\s*$/.exec(before.slice(0, brace))?.[1] ?? "";
    const value = /([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)$/.exec(inside);
    if (value) return { start: caret - value[2]!.length, text: value[2]!, what: "values", metric, label: value[1]! };
    const name = /(?:^|,)\s*(\w*)$/.exec(inside);
    return name ? { start: caret - name[1]!.length, text: name[1]!, what: "labels", metric, label: "" } : null;
  }
  if (inQuotes(before)) return null;
  const duration = /(?:\[|\boffset\s+-?)([$\w]*)$/.exec(before);
  if (duration) return { start: caret - duration[1]!.length, text: duration[1]!, what: "durations", metric: "", label: "" };
  const grouping = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)$/.exec(before);
  const word = /[a-zA-Z_:][\w:]*$/.exec(before)?.[0] ?? "";
  if (grouping) {
    // The first selector behind the caret, else the last one before it, has the labels.
    const metric = metricsOf(text.slice(caret))[0] ?? metricsOf(before).at(-1) ?? "";
    return { start: caret - word.length, text: word, what: "labels", metric, label: "" };
  }
  return word ? { start: caret - word.length, text: word, what: "metrics", metric: "", label: "" } : null;
}

/** What is certainly a selector: a name of several words before a brace, a bracket or the end of a call. */
function metricsOf(text: string): string[] {
  return [...text.matchAll(/\b([a-zA-Z]\w*[_:][\w:]*)\s*[{[)]/g)].map((match) => match[1]!);
}

/** The durations that begin with what was typed. */
function durations(text: string): Offer[] {
  const found = DURATIONS.filter(([duration]) => duration.startsWith(text));
  return found.map(([duration, help]) => ({ text: duration, kind: "duration", help }));
}

/** The last brace that is open at the end, outside of quotes; -1 if none. */
function openBrace(text: string): number {
  let open = -1;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote) {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (c === '"' || c === "'" || c === "`") quote = c;
    else if (c === "{") open = i;
    else if (c === "}") open = -1;
  }
  return open;
}

function inQuotes(text: string): boolean {
  return (text.replace(/\\./g, "").match(/"/g)?.length ?? 0) % 2 === 1;
}

export function attachCompletion(area: HTMLTextAreaElement): void {
  const list = make("ul", "offers");
  list.id = `offers-${++lists}`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completions");
  list.hidden = true;
  area.after(list);
  area.setAttribute("aria-autocomplete", "list");
  area.setAttribute("aria-controls", list.id);

  let word: Word | null = null;
  let offers: Offer[] = [];
  let chosen = -1;
  let timer: number | undefined;
  let running: AbortController | null = null;

  function close(): void {
    window.clearTimeout(timer);
    running?.abort();
    list.hidden = true;
    chosen = -1;
    area.removeAttribute("aria-activedescendant");
  }

  async function ask(): Promise<void> {
    word = wordAt(area.value, area.selectionStart);
    if (!word) return close();
    running?.abort();
    running = new AbortController();
    const { what, metric, label, text } = word;
    if (what === "durations") {
      offers = durations(text);
      return show(text);
    }
    const query = new URLSearchParams({ what, metric, label, text });
    try {
      const answer = await fetch(`${prefix}/ui/complete?${query}`, { signal: running.signal, cache: "no-store" });
      offers = answer.ok ? ((await answer.json()) as Offer[]) : [];
    } catch {
      return;
    }
    show(text);
  }

  function show(text: string): void {
    const exact = offers.length === 1 && offers[0]!.text === text;
    if (offers.length === 0 || exact || document.activeElement !== area) return close();
    open();
  }

  function open(): void {
    list.replaceChildren(
      ...offers.map((offer, i) => {
        const item = make("li", offer.kind);
        item.id = `${list.id}-${i}`;
        item.setAttribute("role", "option");
        item.append(make("span", "", offer.text), make("em", "", offer.kind), make("small", "", offer.help));
        item.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(i);
        });
        return item;
      }),
    );
    list.hidden = false;
    choose(0);
  }

  function choose(i: number): void {
    chosen = (i + offers.length) % offers.length;
    [...list.children].forEach((item, j) => item.setAttribute("aria-selected", String(j === chosen)));
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
    area.setAttribute("aria-activedescendant", `${list.id}-${chosen}`);
  }

  function take(i: number): void {
    const offer = offers[i];
    if (!offer || !word) return close();
    const rest = area.value.slice(area.selectionStart);
    const open = offer.kind === "function" && !rest.startsWith("(") ? "(" : "";
    const text = offer.kind === "value" ? offer.text.replace(/["\\]/g, "\\$&") : offer.text + open;
    area.setRangeText(text, word.start, area.selectionStart, "end");
    close();
    area.dispatchEvent(new Event("input"));
    window.clearTimeout(timer);
    area.dispatchEvent(new Event("change"));
  }

  area.addEventListener("input", () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void ask(), PAUSE_MS);
  });
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === " ") {
      event.preventDefault();
      void ask();
    }
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Tab" || (event.key === "Enter" && !event.ctrlKey && !event.metaKey)) take(chosen);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter") return close();
    else return;
    event.preventDefault();
  });
  byId("query", HTMLFormElement)?.addEventListener("submit", close);
}
