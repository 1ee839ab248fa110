// The boxes of variables: a list that is searched, with several choices where the variable has them. The selects and fields of
// the form stay what is sent; a change goes to the address that they make, without leaving the page.

import { all, make } from "../page";

/** What an address has for all values. */
const ALL = "$__all";
/** What the form says in an address: variables, and which annotations are on. */
export const OWN = /^(var-|marks$)/;
/** Options shown at once; a search finds the others. */
const SHOWN_MAX = 200;

export function enhance(root: ParentNode, go: (url: URL) => void): void {
  const form = root.querySelector<HTMLFormElement>("form.vars") ?? document.querySelector<HTMLFormElement>("form.vars");
  if (!form) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(addressOf(form));
  });
  for (const select of all<HTMLSelectElement>("select", form)) if (!select.dataset.dressed) dress(select, form);
  for (const input of all<HTMLInputElement>("input:not([type=hidden], [type=search])", form)) {
    input.addEventListener("change", () => form.requestSubmit());
  }
  for (const button of all<HTMLButtonElement>("button[type=submit], button:not([type])", form)) button.hidden = true;
}

/** The page's address with what the form says of variables. */
function addressOf(form: HTMLFormElement): URL {
  const url = new URL(location.href);
  for (const name of [...url.searchParams.keys()]) if (OWN.test(name)) url.searchParams.delete(name);
  for (const [name, value] of new FormData(form)) if (OWN.test(name)) url.searchParams.append(name, String(value));
  return url;
}

function dress(select: HTMLSelectElement, form: HTMLFormElement): void {
  select.dataset.dressed = "yes";
  new Box(select, form);
}

class Box {
  private readonly button = make("button", "chooser");
  private readonly sheet = make("div", "choices");
  private readonly search = make("input");
  private readonly list = make("ul");
  private readonly note = make("p", "hint");
  private at = 0;
  private before = "";

  constructor(
    private readonly select: HTMLSelectElement,
    private readonly form: HTMLFormElement,
  ) {
    const name = select.labels?.[0]?.querySelector("span")?.textContent ?? select.labels?.[0]?.firstChild?.textContent ?? select.getAttribute("aria-label") ?? select.name.replace(/^var-/, "");
    this.build(name.trim());
    select.hidden = true;
    select.after(this.button, this.sheet);
    this.button.addEventListener("click", (event) => {
      // The button stands in the select's label, whose click would go on to the select.
      event.preventDefault();
      this.sheet.hidden ? this.open() : this.close(true);
    });
    this.search.addEventListener("input", () => this.fill());
    this.sheet.addEventListener("keydown", (event) => this.key(event));
    // The search keeps the focus, and with it the keys.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      event.preventDefault();
      const item = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-at]") : null;
      if (item) this.pick(Number(item.dataset.at), event.ctrlKey || event.metaKey);
    });
    document.addEventListener("pointerdown", (event) => {
      const inside = event.target instanceof Node && (this.sheet.contains(event.target) || this.button.contains(event.target));
      if (!this.sheet.hidden && !inside) this.close(false);
    });
    this.tell();
  }

  private build(name: string): void {
    const id = `choices-${this.select.name}`;
    this.button.type = "button";
    this.button.setAttribute("aria-haspopup", "listbox");
    this.button.setAttribute("aria-expanded", "false");
    this.button.dataset.name = name;
    this.sheet.hidden = true;
    this.search.type = "search";
    this.search.placeholder = "Search";
    this.search.autocomplete = "off";
    this.search.setAttribute("role", "combobox");
    this.search.setAttribute("aria-label", `Search ${name}`);
    this.search.setAttribute("aria-controls", id);
    this.search.setAttribute("aria-expanded", "true");
    this.list.id = id;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", name);
    if (this.select.multiple) this.list.setAttribute("aria-multiselectable", "true");
    this.sheet.append(this.search, this.list, this.note);
  }

  private open(): void {
    this.before = this.chosen();
    this.search.value = "";
    this.sheet.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.at = Math.max(0, this.select.selectedIndex);
    this.fill();
    this.search.focus();
  }

  private close(focus: boolean): void {
    this.sheet.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (focus) this.button.focus({ preventScroll: true });
    if (this.chosen() !== this.before) this.form.requestSubmit();
  }

  private get options(): HTMLOptionElement[] {
    return [...this.select.options];
  }

  private matches(): HTMLOptionElement[] {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.options.filter((option) => words.every((word) => option.text.toLowerCase().includes(word)));
  }

  private fill(): void {
    const found = this.matches();
    if (!found.some((option) => option.index === this.at)) this.at = found[0]?.index ?? -1;
    const items = found.slice(0, SHOWN_MAX).map((option) => {
      const item = make("li", "", option.text);
      item.id = `${this.list.id}-${option.index}`;
      item.dataset.at = String(option.index);
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(option.selected));
      item.classList.toggle("at", option.index === this.at);
      return item;
    });
    this.list.replaceChildren(...items);
    const rest = found.length - items.length;
    this.note.textContent = found.length === 0 ? "Nothing matches." : rest > 0 ? `${rest} more: type to find them` : this.select.multiple ? "Enter or click: this one too; Escape: done" : "";
    this.point();
  }

  private point(): void {
    const item = this.list.querySelector<HTMLElement>(".at");
    item?.scrollIntoView({ block: "nearest" });
    if (item) this.search.setAttribute("aria-activedescendant", item.id);
    else this.search.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    const places = this.matches().map((option) => option.index);
    const now = places.indexOf(this.at);
    const moves: Record<string, number> = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: places.length - 1 };
    const to = moves[event.key];
    if (to !== undefined && places.length > 0) {
      this.at = places[Math.max(0, Math.min(places.length - 1, to))]!;
      this.fill();
    } else if (event.key === "Enter") this.pick(this.at, event.ctrlKey);
    else if (event.key === "Escape") this.close(true);
    else if (event.key === "Tab") return this.close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** One option. Where several may be chosen, `All` and the others exclude each other; with Ctrl only this one stays. */
  private pick(at: number, only: boolean): void {
    const option = this.options[at];
    if (!option) return;
    if (!this.select.multiple) {
      this.select.value = option.value;
      this.tell();
      return this.close(true);
    }
    const on = only || !option.selected;
    for (const other of this.options) {
      if (only || (on && (option.value === ALL) !== (other.value === ALL))) other.selected = false;
    }
    option.selected = on;
    if (this.select.selectedOptions.length === 0) this.fallBack();
    this.at = at;
    this.tell();
    this.fill();
  }

  /** Nothing chosen means all where there is such a choice. */
  private fallBack(): void {
    const whole = this.options.find((option) => option.value === ALL) ?? this.options[0];
    if (whole) whole.selected = true;
  }

  private chosen(): string {
    return [...this.select.selectedOptions].map((option) => option.value).join("\n");
  }

  private tell(): void {
    const texts = [...this.select.selectedOptions].map((option) => option.text);
    const text = texts.length > 3 ? `${texts.slice(0, 3).join(" + ")} + ${texts.length - 3}` : texts.join(" + ");
    this.button.replaceChildren(make("span", "", text || "None"), make("i", "", "▾"));
    this.button.setAttribute("aria-label", `${this.button.dataset.name}: ${texts.join(", ") || "none"}`);
    this.button.title = texts.join(", ");
  }
}
