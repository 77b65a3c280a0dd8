// SPDX-License-Identifier: Apache-2.0
// The few things the page does to the document. Text is only ever set as text, and only
// where it has changed: a page that nothing happens on costs nothing.

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id} in the page`);
  return found as T;
}

type Attributes = Record<string, string | number | boolean>;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

export function setText(node: Element, text: string): void {
  const only = node.firstChild;
  if (only instanceof Text && node.childNodes.length === 1) {
    if (only.data !== text) only.data = text;
  } else if (only || text !== "") {
    node.textContent = text;
  }
}

// null: without the attribute.
export function setAttribute(node: Element, name: string, value: string | null): void {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}

// Of a bar: 0..1 of its track, in steps too small to be seen.
export function setShare(node: HTMLElement, share: number): void {
  const text = `scaleX(${Math.min(Math.max(share, 0), 1).toFixed(3)})`;
  if (node.style.transform !== text) node.style.transform = text;
}

// Make the children of `parent` these, in this order, moving no more than is needed.
export function setChildren(parent: Element, children: readonly Element[]): void {
  const focused = document.activeElement;
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  while (at) {
    const next = at.nextElementSibling;
    at.remove();
    at = next;
  }
  // What is moved loses the focus.
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
    focused.focus({ preventScroll: true });
}

// Two names may be written as one identifier: the second of a key is another.
function unique<Item>(items: readonly (readonly [string, Item])[]): (readonly [string, Item])[] {
  const seen = new Map<string, number>();
  return items.map(([key, item]) => {
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    return [before === 0 ? key : `${key}#${before}`, item];
  });
}

// As many children as there are `items`, by key: those that are there already are kept.
export class Keyed<Item, View extends { readonly root: HTMLElement }> {
  private readonly views = new Map<string, View>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly make: (item: Item) => View,
    private readonly update: (view: View, item: Item) => void,
  ) {}

  show(given: readonly (readonly [string, Item])[]): void {
    const items = unique(given);
    const keys = new Set(items.map(([key]) => key));
    for (const key of this.views.keys()) if (!keys.has(key)) this.views.delete(key);
    const roots = items.map(([key, item]) => {
      let view = this.views.get(key);
      if (!view) this.views.set(key, (view = this.make(item)));
      this.update(view, item);
      return view.root;
    });
    setChildren(this.parent, roots);
  }
}
