// SPDX-License-Identifier: Apache-2.0
// What the tables have in common: their columns, and the order of their rows.

import { element, setAttribute, setHidden } from "./dom";

const RESORT_MS = 2000; // so that rows by a live figure do not dance

export interface Column<Item> {
  key: string;
  label: string;
  hint: string;
  number: boolean;
  value: (item: Item) => number | string | null;
}

export function cellOf<Item>(columns: readonly Column<Item>[], key: string, ...children: Node[]): HTMLTableCellElement {
  const made = element("td", { role: "cell", "data-column": key }, ...children);
  const column = columns.find((candidate) => candidate.key === key);
  if (column) made.dataset["label"] = column.label;
  if (column?.number) made.classList.add("number");
  return made;
}

function compare(a: number | string | null, b: number | string | null, falling: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // unknown is last
  const order = a < b ? -1 : a > b ? 1 : 0;
  return falling ? -order : order;
}

export class Order<Item> {
  private order = new Map<string, number>();
  private orderedAt = 0;
  private orderedBy = "";

  constructor(
    private readonly columns: readonly Column<Item>[],
    private readonly fallback: string, // the column for one that is not known
    private readonly keyOf: (item: Item) => string,
  ) {}

  of(items: readonly Item[], key: string, falling: boolean): Item[] {
    const by = `${key} ${falling}`;
    const now = performance.now();
    const isDue = by !== this.orderedBy || now - this.orderedAt >= RESORT_MS;
    if (isDue || items.some((item) => !this.order.has(this.keyOf(item)))) {
      this.orderedAt = now;
      this.orderedBy = by;
      return this.sort(items, key, falling);
    }
    const at = (item: Item) => this.order.get(this.keyOf(item)) ?? 0;
    return [...items].sort((a, b) => at(a) - at(b));
  }

  private sort(items: readonly Item[], key: string, falling: boolean): Item[] {
    const find = (wanted: string) => this.columns.find((column) => column.key === wanted);
    const column = find(key) ?? (find(this.fallback) as Column<Item>);
    const ordered = [...items].sort((a, b) => compare(column.value(a), column.value(b), falling));
    this.order = new Map(ordered.map((item, i) => [this.keyOf(item), i]));
    return ordered;
  }
}

// The heads of the columns, and the choice of one that stands for them where there is no room.
export class Heads<Item> {
  private readonly heads = new Map<string, HTMLElement>();
  private readonly options = new Map<string, HTMLOptionElement>();

  constructor(
    columns: readonly Column<Item>[],
    row: HTMLElement,
    private readonly select: HTMLSelectElement,
    sortBy: (key: string, falling: boolean) => void,
  ) {
    for (const { key, label, hint, number } of columns) {
      const button = element("button", { type: "button", title: hint }, label);
      const head = element("th", { role: "columnheader", scope: "col", "data-column": key }, button);
      if (number) head.classList.add("number");
      button.addEventListener("click", () => sortBy(key, number));
      const option = element("option", { value: key }, label);
      this.heads.set(key, head);
      this.options.set(key, option);
      row.append(head);
      select.append(option);
    }
    select.addEventListener("change", () => sortBy(select.value, true));
  }

  show(sort: string, falling: boolean): void {
    for (const [key, head] of this.heads) {
      const order = falling ? "descending" : "ascending";
      setAttribute(head, "aria-sort", key === sort ? order : null);
    }
    if (this.select.value !== sort) this.select.value = sort;
  }

  // The style sheet does it for the column itself.
  leaveOut(key: string, isOut: boolean): void {
    const option = this.options.get(key);
    if (option) setHidden(option, isOut);
  }
}
