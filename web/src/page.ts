// Facts of the page that the server wrote into the body's attributes, and small helpers for elements.

export const prefix = document.body.dataset.prefix ?? "";

/** The element of this id, if it is of this kind. */
export function byId<T extends Element>(id: string, kind: { new (): T }): T | null {
  const element = document.getElementById(id);
  return element instanceof kind ? element : null;
}

export function all<T extends Element>(selector: string, within: ParentNode = document): T[] {
  return [...within.querySelectorAll<T>(selector)];
}

/** A new element with a class and a text. Text never becomes markup. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A setting of this reader, kept where the browser allows it. */
export const settings = {
  get(name: string): string | null {
    try {
      return localStorage.getItem(`skep.${name}`);
    } catch {
      return null;
    }
  },
  set(name: string, value: string): void {
    try {
      localStorage.setItem(`skep.${name}`, value);
    } catch {
      // Storage is denied: the setting lasts as long as the page.
    }
  },
};

/** Tells listeners on the body. */
export function announce(name: string): void {
  document.body.dispatchEvent(new CustomEvent(name));
}
