// SPDX-License-Identifier: Apache-2.0
// A fleet's table of nodes. There may be thousands: no more are drawn than are seen.

import { Place, nodeLink } from "./address";
import { Keyed, byId, element, setAttribute, setHidden, setShare, setText } from "./dom";
import { nodeFilterOf } from "./filter";
import { Detail, FleetNode, Provenance } from "./messages";
import { nodeSumsText } from "./node_sums";
import { Column, Heads, Order, cellOf } from "./table";
import { UNKNOWN, count, duration, exactBytes, gibOrUnknown, kvLevel, nodeBadge, nodeInWords, nodeKvPercent, nodeVramPercent, percent, shortCount } from "./words";

const AHEAD = 6; // rows drawn above and below what is seen
const STATES = ["lost", "unreadable", "outage", "stale", "live"]; // who needs somebody first

function stateRank(node: FleetNode): number {
  const rank = STATES.indexOf(node.state); // -1: a state of a later version
  return node.state === "live" && (node.name_taken || !node.counted) ? rank - 0.5 : rank;
}

const COLUMNS: Column<FleetNode>[] = [
  { key: "node", label: "Node", hint: "Its name", number: false, value: () => null }, // as they are: see Names
  { key: "state", label: "State", hint: "Whether its figures come: first who needs somebody", number: false, value: stateRank },
  { key: "vram", label: "VRAM", hint: "Allocated memory of all its GPUs, of all there is, GiB", number: true, value: (n) => n.vram.allocated_bytes },
  { key: "kv", label: "KV cache", hint: "KV blocks that live requests hold, of all there are, GiB; sorted by the part", number: true, value: nodeKvPercent },
  { key: "hit", label: "Hits", hint: "Tokens found in the prefix caches, of those looked up", number: true, value: (n) => n.prefix_cache.hit_percent },
  { key: "run", label: "Run", hint: "Requests in the batches", number: true, value: (n) => n.requests.running },
  { key: "wait", label: "Wait", hint: "Requests in the queues", number: true, value: (n) => n.requests.waiting },
  { key: "gpus", label: "GPUs", hint: "GPUs", number: true, value: (n) => n.gpus },
  { key: "models", label: "Models", hint: "Served models", number: true, value: (n) => n.models },
  { key: "age", label: "Age", hint: "Since its figures came in", number: true, value: (n) => n.age_ms },
  { key: "version", label: "Version", hint: "Of its vramscoped", number: false, value: (n) => n.version },
];

// "512.3 / 640.0" with a bar above it.
class Share {
  readonly track: HTMLElement;
  readonly text = element("span", { class: "value" });
  private readonly fill: HTMLElement;

  constructor(kind: string) {
    this.fill = element("span", { class: `fill ${kind}` });
    this.track = element("span", { class: "track", "aria-hidden": "true" }, this.fill);
  }

  show(cell: HTMLElement, used: number | null, all: number | null, share: number | null, from: [Provenance, Provenance]): void {
    const isUnknown = used === null && all === null;
    setText(this.text, isUnknown ? UNKNOWN : `${gibOrUnknown(used, from[0])} / ${gibOrUnknown(all, from[1])}`);
    setAttribute(cell, "data-bytes", used === null ? null : String(used));
    setAttribute(cell, "data-unknown", used === null ? "" : null);
    setShare(this.fill, (share ?? 0) / 100);
  }
}

function bytesHint(used: number | null, all: number | null, share: number | null): string {
  const text = (bytes: number | null) => (bytes === null ? "not known" : exactBytes(bytes));
  return `${text(used)} of ${text(all)}${share === null ? "" : `: ${percent(share, 1)}`}`;
}

function aboutNode(node: FleetNode): string {
  if (node.gateway) return `gateway of ${count(node.nodes)} node${node.nodes === 1 ? "" : "s"}`;
  return node.name_taken && node.machine ? `machine ${node.machine}` : ""; // which of those that say so
}

class Row {
  readonly root = element("tr", { role: "row" });
  private readonly name = element("a", { class: "node-name" });
  private readonly machine = element("span", { class: "quiet place" });
  private readonly state = element("span", { class: "badge" });
  private readonly odd = element("span", { class: "badge", "data-badge": "stale", hidden: true });
  private readonly reason = element("span", { class: "quiet place" });
  private readonly vram = new Share("vram");
  private readonly kv = new Share("kv");
  private readonly cells = new Map<string, HTMLElement>();
  private node: FleetNode | undefined;

  constructor() {
    this.add("node", this.name, this.machine);
    this.add("state", element("span", { class: "badges" }, this.state, this.odd), this.reason);
    this.add("vram", this.vram.track, this.vram.text);
    this.add("kv", this.kv.track, this.kv.text);
    for (const key of ["hit", "run", "wait", "gpus", "models", "age"]) this.add(key, element("span", { class: "value" }));
    this.add("version", element("span", { class: "quiet" }));
    // A person who marks text opens nothing.
    this.root.addEventListener("click", (event) => {
      if (!(event.target instanceof HTMLAnchorElement) && getSelection()?.isCollapsed !== false) this.name.click();
    });
    this.root.addEventListener("pointerenter", () => this.showHints());
  }

  private add(key: string, ...children: Element[]): void {
    const made = cellOf(COLUMNS, key, ...children);
    made.dataset["figure"] = key;
    this.cells.set(key, made);
    this.root.append(made);
  }

  private cell(key: string): HTMLElement {
    return this.cells.get(key) as HTMLElement;
  }

  // Only when somebody points there: they change with every document.
  private showHints(): void {
    if (!this.node) return;
    const { vram, kv_cache: kv } = this.node;
    const gap = kv.unknown_models > 0 ? `; not known of ${count(kv.unknown_models)} models` : "";
    setAttribute(this.cell("vram"), "title", bytesHint(vram.allocated_bytes, vram.total_bytes, nodeVramPercent(this.node)));
    setAttribute(this.cell("kv"), "title", bytesHint(kv.used_bytes, kv.capacity_bytes, nodeKvPercent(this.node)) + gap);
  }

  private number(key: string, text: string): void {
    const cell = this.cell(key);
    setText(cell.firstElementChild as Element, text);
    setAttribute(cell, "data-unknown", text === UNKNOWN ? "" : null);
  }

  show(node: FleetNode, at: number, sinceMs: number): void {
    if (this.node?.node !== node.node) this.showName(node);
    this.node = node;
    setAttribute(this.root, "aria-rowindex", String(at + 2)); // the heads are the first
    setAttribute(this.root, "data-state", node.state);
    setAttribute(this.root, "data-counted", node.counted ? "" : null);
    setText(this.machine, aboutNode(node));
    this.showState(node);
    this.vram.show(this.cell("vram"), node.vram.allocated_bytes, node.vram.total_bytes, nodeVramPercent(node), [node.vram.from, "measured"]);
    const kv = nodeKvPercent(node);
    this.kv.show(this.cell("kv"), node.kv_cache.used_bytes, node.kv_cache.capacity_bytes, kv, [node.kv_cache.from, node.kv_cache.from]);
    setAttribute(this.cell("kv"), "data-level", kvLevel(kv));
    this.number("hit", percent(node.prefix_cache.hit_percent));
    this.number("run", shortCount(node.requests.running));
    this.number("wait", shortCount(node.requests.waiting));
    this.number("gpus", count(node.gpus));
    this.number("models", count(node.models));
    this.number("age", node.age_ms === null ? UNKNOWN : duration(node.age_ms + sinceMs));
    setText(this.cell("version").firstElementChild as Element, node.version ?? UNKNOWN);
  }

  private showName({ node }: FleetNode): void {
    setAttribute(this.root, "data-node", node);
    setText(this.name, node);
    setAttribute(this.name, "href", nodeLink(node));
    setAttribute(this.name, "title", node);
  }

  private showState(node: FleetNode): void {
    setText(this.state, nodeBadge(node.state));
    setAttribute(this.state, "data-badge", node.state);
    setHidden(this.odd, !node.name_taken && (node.counted || node.state !== "live"));
    setText(this.odd, node.name_taken ? "NAME TAKEN" : "NOT COUNTED");
    setText(this.reason, node.reason ?? "");
    setAttribute(this.cell("state"), "title", nodeInWords(node));
  }
}

// The names as people count them, gpu9 before gpu10. Dear: only when there are others.
class Names {
  private rank = new Map<string, number>();
  private readonly collator = new Intl.Collator("en", { numeric: true });

  sort(nodes: readonly FleetNode[]): FleetNode[] {
    if (nodes.length !== this.rank.size || nodes.some(({ node }) => !this.rank.has(node))) {
      const names = nodes.map(({ node }) => node).sort((a, b) => this.collator.compare(a, b));
      this.rank = new Map(names.map((name, i) => [name, i]));
    }
    const at = (node: FleetNode) => this.rank.get(node.node) ?? 0;
    return [...nodes].sort((a, b) => at(a) - at(b));
  }
}

type Drawn = readonly [FleetNode, at: number];

export class NodeTable {
  private readonly views: Keyed<Drawn, Row>;
  private heads: Heads<FleetNode> | undefined; // a single host has none
  private readonly filter = byId<HTMLInputElement>("node-filter");
  private readonly frame = byId("nodes-frame");
  private readonly above = byId("nodes-above");
  private readonly below = byId("nodes-below");
  private readonly order = new Order(COLUMNS, "state", (node: FleetNode) => node.node);
  private readonly names = new Names();
  private shown: readonly FleetNode[] = [];
  private sinceMs = 0;
  private rowHeight = 44;
  private seenFrom = 0; // of the frame, pixels
  private seenHeight = 600;

  constructor(
    private readonly place: Place,
    private readonly onChange: () => void,
  ) {
    this.views = new Keyed<Drawn, Row>(
      byId("nodes-body"),
      () => new Row(),
      (row, [node, at]) => row.show(node, at, this.sinceMs),
    );
    this.filter.addEventListener("input", () => this.setFilter(this.filter.value));
    byId("node-filter-clear").addEventListener("click", () => {
      this.setFilter("");
      this.filter.focus();
    });
    this.frame.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.frame.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.measure()).observe(this.frame);
  }

  private showHeads(sort: string, falling: boolean): void {
    const select = byId<HTMLSelectElement>("node-sort");
    this.heads ??= new Heads(COLUMNS, byId("nodes-head"), select, (key, isFalling) => this.sortBy(key, isFalling));
    this.heads.show(sort, falling);
  }

  private sortBy(key: string, falling: boolean): void {
    this.place.nodeFalling = this.place.nodeSort === key ? !this.place.nodeFalling : falling;
    this.place.nodeSort = key;
    this.frame.scrollTop = 0;
    this.onChange();
  }

  private setFilter(text: string): void {
    this.place.nodeFilter = text;
    this.frame.scrollTop = 0;
    this.onChange();
  }

  private onScroll(): void {
    this.seenFrom = this.frame.scrollTop;
    this.draw();
  }

  // Rows are all of one height: the style sheet's, which has another for phones.
  private measure(): void {
    this.seenHeight = this.frame.clientHeight;
    const row = byId("nodes-body").firstElementChild;
    if (row instanceof HTMLElement && row.offsetHeight > 0) this.rowHeight = row.getBoundingClientRect().height;
    this.draw();
  }

  // From a row's name to the next one's; the frame follows the focus.
  private onKey(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target instanceof Element ? event.target.closest("tr") : null;
    if (!step || !row) return;
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    const link = next?.querySelector("a");
    if (!link) return;
    event.preventDefault();
    link.focus();
  }

  private draw(): void {
    const room = Math.ceil(this.seenHeight / this.rowHeight) + 2 * AHEAD;
    const last = Math.max(this.shown.length - room, 0);
    const from = Math.min(Math.max(Math.floor(this.seenFrom / this.rowHeight) - AHEAD, 0), last);
    const drawn = this.shown.slice(from, from + room);
    const rest = this.shown.length - from - drawn.length;
    this.above.style.height = `${from * this.rowHeight}px`;
    this.below.style.height = `${rest * this.rowHeight}px`;
    this.views.show(drawn.map((node, i) => [node.node, [node, from + i]]));
  }

  show(detail: Detail, sinceMs: number): void {
    const { nodeSort, nodeFalling, nodeFilter } = this.place;
    const nodes = this.names.sort(detail.nodes ?? []);
    if (nodeSort === "node" && nodeFalling) nodes.reverse();
    this.sinceMs = sinceMs;
    this.shown = this.order.of(nodes, nodeSort, nodeFalling).filter(nodeFilterOf(nodeFilter));
    this.showHeads(nodeSort, nodeFalling);
    if (this.filter.value !== nodeFilter) this.filter.value = nodeFilter;
    const leftOut = detail.nodes_left_out ? ` of ${count(nodes.length + detail.nodes_left_out)}: there are no more in one document` : "";
    setText(byId("nodes-count"), nodeFilter.trim() === "" ? count(nodes.length) + leftOut : "");
    setText(byId("nodes-sum"), nodeFilter.trim() === "" ? "" : nodeSumsText(this.shown, nodes.length));
    setAttribute(byId("nodes"), "aria-rowcount", String(this.shown.length + 1));
    setHidden(byId("nodes-none"), this.shown.length > 0);
    setHidden(this.frame, this.shown.length === 0);
    this.draw();
  }
}
