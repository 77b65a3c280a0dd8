// SPDX-License-Identifier: Apache-2.0
// The table of models.

import { About, Entry, figureEntry, showAbout } from "./about";
import { Place } from "./address";
import { Keyed, byId, element, setAttribute, setHidden, setShare, setText } from "./dom";
import { filterOf } from "./filter";
import { Detail, Figure, Hits, Model, keyOf } from "./messages";
import { Column, Heads, Order, cellOf } from "./table";
import { UNKNOWN, count, duration, figureHint, figureText, kvLevel, kvPercent, percent, shortCount, stateBadge, stateInWords } from "./words";

const ROWS_MOST = 200; // as many as anybody reads: the filter finds the others

const STATE_ORDER = ["unreachable", "metrics-disabled", "starting", "loading", "sleeping", "ready"];

const COLUMNS: Column<Model>[] = [
  { key: "model", label: "Model", hint: "Served name, port and GPUs", number: false, value: (m) => m.model.toLowerCase() },
  { key: "state", label: "State", hint: "What the engine does", number: false, value: (m) => STATE_ORDER.indexOf(m.state) },
  { key: "nodes", label: "Nodes", hint: "Nodes of the fleet that serve it: ready, of all", number: true, value: (m) => m.nodes ?? null },
  { key: "vram", label: "VRAM", hint: "Memory of every process in its tree, on every device, GiB", number: true, value: (m) => m.vram.allocated_bytes.value },
  { key: "kv", label: "KV used", hint: "KV blocks that live requests hold, GiB", number: true, value: (m) => m.kv_cache.used_bytes.value },
  { key: "pool", label: "KV pool", hint: "What its KV cache was given, GiB", number: true, value: (m) => m.kv_cache.capacity_bytes.value },
  { key: "kvp", label: "KV", hint: "Part of its KV blocks that live requests hold", number: true, value: kvPercent },
  { key: "hit", label: "Hits", hint: "Tokens found in the prefix cache, of those looked up in the last minute", number: true, value: (m) => m.prefix_cache.minute.hit_percent },
  { key: "run", label: "Run", hint: "Requests in the batch", number: true, value: (m) => m.requests.running },
  { key: "wait", label: "Wait", hint: "Requests in the queue", number: true, value: (m) => m.requests.waiting },
  { key: "preempt", label: "Preempt", hint: "Preemptions since the engine started: requests thrown out for want of KV blocks", number: true, value: (m) => m.requests.preemptions },
  { key: "age", label: "Age", hint: "Since its figures came in", number: true, value: (m) => m.age_ms },
];

function hitsEntry(name: string, hits: Hits): Entry {
  const lines =
    hits.queries === null
      ? ["The engine does not tell."]
      : [`${count(hits.hits)} of ${count(hits.queries)} tokens looked up were there.`];
  return { name, text: percent(hits.hit_percent, 1), lines };
}

function requestsEntry({ requests }: Model): Entry {
  const preempted = requests.preemptions === null ? "" : `${count(requests.preemptions)} were thrown out for want of KV blocks since its start.`;
  return {
    name: "Requests",
    text: count(requests.running),
    lines: [`${count(requests.waiting)} are waiting.`, preempted],
  };
}

const SOURCES: Record<string, string> = {
  engine: "the engine's own count of bytes",
  kv_bytes_per_block: "kv_bytes_per_block of the configuration",
  kv_pool_bytes_per_gpu: "kv_pool_bytes_per_gpu of the configuration",
  kv_cache_memory_bytes: "--kv-cache-memory-bytes, as the engine was started",
  "config.json": "the model's config.json with the command line",
  server_info: "what the server says of itself in development mode",
  log: "its start-up log",
  process_memory: "what its processes hold, less the weights",
};

function aboutModel(model: Model, deviceText: string): About {
  const kv = model.kv_cache;
  const source = kv.source ? `Size of a block: by ${SOURCES[kv.source] ?? kv.source}.` : "";
  const blocks =
    kv.used_blocks === null || kv.blocks === null
      ? (kv.reason ?? "")
      : `${count(kv.used_blocks)} of ${count(kv.blocks)} blocks${kv.block_tokens === null ? "" : ` of ${kv.block_tokens} tokens`}.`;
  const tokens = kv.capacity_tokens === null ? "" : `Room for ${count(kv.capacity_tokens)} tokens.`;
  const nodes = model.nodes === undefined ? "" : `, on ${count(model.nodes)} nodes, of which ${count(model.nodes_ready ?? null)} are ready`;
  const place = [`${model.port === 0 ? "On a Unix socket" : `Port ${model.port}`}${nodes}`];
  if (model.pid !== null) place.push(`process ${model.pid}`);
  if (deviceText) place.push(deviceText);
  return {
    title: model.model,
    entries: [
      { name: "State", text: stateBadge(model.state), lines: [stateInWords(model), `${place.join(", ")}.`] },
      figureEntry("VRAM", model.vram.allocated_bytes),
      figureEntry("Weights and rest", model.vram.rest_bytes, "VRAM less the KV pool: weights, activations, graphs, context."),
      figureEntry("KV used", kv.used_bytes, blocks),
      figureEntry("KV pool", kv.capacity_bytes, [source, tokens].join(" ").trim()),
      figureEntry("KV kept for reuse", kv.retained_bytes),
      requestsEntry(model),
      hitsEntry("Hits, last minute", model.prefix_cache.minute),
      hitsEntry("Hits, five minutes", model.prefix_cache.five_minutes),
      hitsEntry("Hits, since its start", model.prefix_cache.lifetime),
    ],
  };
}

function gpusOf(model: Model, detail: Detail): string {
  const numbers = model.devices.map((at) => detail.devices[at]?.index ?? at);
  return numbers.length === 0 ? "" : `GPU ${numbers.join(", ")}`;
}

class Row {
  readonly root = element("tr", { role: "row" });
  private readonly name = element("button", { type: "button", class: "model-name" });
  private readonly place = element("span", { class: "quiet place" });
  private readonly state = element("span", { class: "badge" });
  private readonly stale = element("span", { class: "badge", "data-badge": "stale", hidden: true }, "STALE");
  private readonly fill = element("span", { class: "fill kv" });
  private readonly level = element("span", { class: "level", "aria-hidden": "true" });
  private readonly percent = element("span", { class: "percent" });
  private readonly about = element("button", { type: "button", class: "about-button" }, "?");
  private readonly cells = new Map<string, HTMLTableCellElement>();
  private readonly values = new Map<string, HTMLElement>();
  private readonly figures = new Map<string, Figure>();
  private model: Model | undefined;
  private gpus = "";

  constructor(onSelect: (key: string) => void) {
    const numbers = ["vram", "kv", "pool"];
    this.add("model", this.name, this.place);
    this.add("state", element("span", { class: "badges" }, this.state, this.stale));
    for (const key of ["nodes", ...numbers]) this.add(key);
    const track = element("span", { class: "track", "aria-hidden": "true" }, this.fill);
    this.add("kvp", track, this.level, this.percent);
    for (const key of ["hit", "run", "wait", "preempt", "age"]) this.add(key);
    this.root.append(element("td", { role: "cell", class: "about-cell" }, this.about));
    this.name.addEventListener("click", () => this.model && onSelect(keyOf(this.model)));
    const show = () => this.model && showAbout(this.about, aboutModel(this.model, this.gpus));
    this.about.addEventListener("click", show);
    for (const key of numbers) {
      this.cells.get(key)?.addEventListener("click", show);
      this.cells.get(key)?.addEventListener("pointerenter", () => this.showHint(key));
    }
  }

  private add(key: string, ...children: Node[]): void {
    const value = element("span", { class: "value" });
    const made = cellOf(COLUMNS, key, ...(children.length > 0 ? children : [value]));
    this.cells.set(key, made);
    this.values.set(key, value);
    this.root.append(made);
  }

  private figure(key: string, name: string, figure: Figure): void {
    const node = this.cells.get(key) as HTMLElement;
    setText(this.values.get(key) as HTMLElement, figureText(figure));
    setAttribute(node, "data-figure", name);
    setAttribute(node, "data-bytes", figure.value === null ? null : String(figure.value));
    setAttribute(node, "data-unknown", figure.value === null ? "" : null);
    if (figure.value === null) setAttribute(node, "title", figureHint(figure));
    this.figures.set(key, figure);
  }

  // Only when somebody points there: it changes with every document.
  private showHint(key: string): void {
    const figure = this.figures.get(key);
    if (figure) setAttribute(this.cells.get(key) as HTMLElement, "title", figureHint(figure));
  }

  private number(key: string, text: string, why: string | null = null): void {
    const node = this.cells.get(key) as HTMLElement;
    setText(this.values.get(key) as HTMLElement, text);
    setAttribute(node, "data-figure", key);
    setAttribute(node, "data-unknown", text === UNKNOWN ? "" : null);
    setAttribute(node, "title", text === UNKNOWN ? (why ?? "Not known") : null);
  }

  show(model: Model, detail: Detail, selected: string, sinceMs: number): void {
    const key = keyOf(model);
    this.model = model;
    this.gpus = gpusOf(model, detail);
    setAttribute(this.root, "data-model", key);
    setAttribute(this.root, "data-state", model.state);
    setAttribute(this.root, "data-stale", model.stale ? "" : null);
    setAttribute(this.root, "data-selected", key === selected ? "" : null);
    setAttribute(this.name, "aria-pressed", String(key === selected));
    setText(this.name, model.model);
    setAttribute(this.name, "title", `${model.model}: show its past`);
    setText(this.place, `${model.port === 0 ? "socket" : `:${model.port}`}${this.gpus ? ` · ${this.gpus}` : ""}`);
    setText(this.state, stateBadge(model.state));
    setAttribute(this.state, "data-badge", model.state);
    setAttribute(this.state, "title", stateInWords(model));
    setHidden(this.stale, !model.stale);
    setAttribute(this.about, "aria-label", `About the numbers of ${model.model}, port ${model.port}`);
    this.number("nodes", model.nodes === undefined ? "" : `${count(model.nodes_ready ?? null)} / ${count(model.nodes)}`);
    this.figure("vram", "vram", model.vram.allocated_bytes);
    this.figure("kv", "kv-used", model.kv_cache.used_bytes);
    this.figure("pool", "kv-pool", model.kv_cache.capacity_bytes);
    this.showKv(model);
    const never = "Nothing was looked up in the last minute, or the engine does not tell";
    this.number("hit", percent(model.prefix_cache.minute.hit_percent), never);
    this.number("run", shortCount(model.requests.running));
    this.number("wait", shortCount(model.requests.waiting));
    this.number("preempt", shortCount(model.requests.preemptions));
    this.showAge(sinceMs);
  }

  private showKv(model: Model): void {
    const used = kvPercent(model);
    const level = kvLevel(used);
    const node = this.cells.get("kvp") as HTMLElement;
    setAttribute(node, "data-level", level);
    setAttribute(node, "data-figure", "kv-percent");
    setAttribute(node, "data-unknown", used === null ? "" : null);
    setAttribute(node, "title", used === null ? (model.kv_cache.reason ?? "Not known") : null);
    setShare(this.fill, (used ?? 0) / 100);
    setText(this.level, level === "critical" ? "▲" : level === "warning" ? "△" : "");
    setText(this.percent, percent(used));
  }

  showAge(sinceMs: number): void {
    const age = this.model?.age_ms ?? null;
    this.number("age", age === null ? UNKNOWN : duration(age + sinceMs), "It has given no figures");
  }
}

export class ModelTable {
  private readonly views: Keyed<Model, Row>;
  private readonly heads: Heads<Model>;
  private readonly filter = byId<HTMLInputElement>("filter");
  private readonly order = new Order(COLUMNS, "vram", keyOf);
  private detail: Detail | undefined;
  private sinceMs = 0;

  constructor(
    private readonly place: Place,
    private readonly onChange: () => void,
  ) {
    this.views = new Keyed<Model, Row>(
      byId("models-body"),
      () => new Row((key) => this.selectModel(key)),
      (row, model) => row.show(model, this.detail as Detail, this.place.model, this.sinceMs),
    );
    this.heads = new Heads(COLUMNS, byId("models-head"), byId<HTMLSelectElement>("sort"), (key, falling) => this.sortBy(key, falling));
    byId("models-head").append(element("th", { role: "columnheader", scope: "col" }, element("span", { class: "hidden" }, "About")));
    this.filter.addEventListener("input", () => this.setFilter(this.filter.value));
    byId("filter-clear").addEventListener("click", () => {
      this.setFilter("");
      this.filter.focus();
    });
  }

  private selectModel(key: string): void {
    this.place.model = this.place.model === key ? "" : key;
    this.onChange();
  }

  private sortBy(key: string, falling: boolean): void {
    this.place.falling = this.place.sort === key ? !this.place.falling : falling;
    this.place.sort = key;
    this.onChange();
  }

  private setFilter(text: string): void {
    this.place.filter = text;
    this.onChange();
  }

  show(detail: Detail, sinceMs: number): void {
    this.detail = detail;
    this.sinceMs = sinceMs;
    const fits = filterOf(this.place.filter);
    const { sort, falling } = this.place;
    const fitting = this.order.of(detail.models, sort, falling).filter(fits);
    const shown = fitting.slice(0, ROWS_MOST);
    const all = detail.models.length + (detail.models_left_out ?? 0);
    this.heads.show(sort, falling);
    this.heads.leaveOut("nodes", detail.fleet === undefined);
    if (this.filter.value !== this.place.filter) this.filter.value = this.place.filter;
    this.views.show(shown.map((model) => [keyOf(model), model]));
    const rest = shown.length < fitting.length ? `, of ${fitting.length} that fit` : "";
    setText(byId("models-count"), shown.length === all ? `${all}` : `${shown.length} of ${all}${rest}`);
    setHidden(byId("models-empty-here"), detail.fleet !== undefined);
    setText(byId("models-empty-title"), detail.outage ? "No node has figures" : detail.fleet ? "No model is served in the fleet" : "No vLLM server is running here");
    setHidden(byId("models-empty"), all > 0);
    setHidden(byId("models-none"), all === 0 || shown.length > 0);
    setHidden(byId("models-frame"), shown.length === 0);
  }
}
