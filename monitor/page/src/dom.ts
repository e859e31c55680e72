// Elements out of data. Text goes through textContent only: names are data, and may look like markup, or turn
// around the text that they stand in.

import { visible } from "./format";

type Child = Node | string | null | undefined | false;
type Props = Record<string, string | number | boolean | null | undefined | ((event: globalThis.Event) => void)>;

/** An element; `on…` are listeners, `false` and null leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : visible(String(value)));
    }
  }
  for (const child of children) {
    if (child) element.append(typeof child === "string" ? visible(child) : child);
  }
  return element;
}

/** Sets a text only when it changed, so that a selection and a screen reader are left alone. */
export function text(element: Element, value: string): void {
  const shown = visible(value);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Sets or removes an attribute only when it changed. */
export function attribute(element: Element, name: string, value: string | null): void {
  const shown = value === null ? null : visible(value);
  if (element.getAttribute(name) === shown) return;
  if (shown === null) element.removeAttribute(name);
  else element.setAttribute(name, shown);
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/** Rows that keep their place and their elements, by key; they come behind `after`, where there is one. */
export class Rows<T> {
  private readonly known = new Map<string, HTMLElement>();

  constructor(
    private readonly parent: Element,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => HTMLElement,
    private readonly update: (row: HTMLElement, item: T) => void,
    private readonly after: Element | null = null,
  ) {}

  draw(items: readonly T[]): void {
    const wanted = new Set(items.map(this.key));
    for (const [key, row] of this.known) {
      if (!wanted.has(key)) {
        row.remove();
        this.known.delete(key);
      }
    }
    let before: ChildNode | null = this.after ? this.after.nextSibling : this.parent.firstChild;
    for (const item of items) {
      const key = this.key(item);
      let row = this.known.get(key);
      if (!row) {
        row = this.make(item);
        this.known.set(key, row);
      }
      this.update(row, item);
      if (row === before) before = before.nextSibling;
      else this.parent.insertBefore(row, before);
    }
  }
}

/** The cell of a row that was made with `data-cell`. */
export function cell(row: HTMLElement, name: string): HTMLElement {
  const found = row.querySelector<HTMLElement>(`[data-cell="${name}"]`);
  if (!found) throw new Error(`a row has no cell ${name}`);
  return found;
}
