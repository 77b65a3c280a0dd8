// SPDX-License-Identifier: Apache-2.0
// The present as a file, and the past that the daemon remembers.

import { modelParameter, stepOf } from "./archive";
import { element } from "./dom";
import { Detail, Figure, FleetNode, Model } from "./messages";

function save(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function stamp(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/[:.]/g, "-");
}

export function saveJson(detail: Detail): void {
  const text = `${JSON.stringify(detail, null, 1)}\n`;
  save(`vramscope-${stamp(detail.unix_ms)}.json`, new Blob([text], { type: "application/json" }));
}

type Cell = string | number | null;

function figureCells(name: string, of: (model: Model) => Figure): [string, (model: Model) => Cell][] {
  return [
    [`${name}_bytes`, (model) => of(model).value],
    [`${name}_from`, (model) => of(model).from],
    [`${name}_error_bytes`, (model) => of(model).error],
  ];
}

const COLUMNS: [string, (model: Model) => Cell][] = [
  ["model", (model) => model.model],
  ["model_id", (model) => model.model_id],
  ["port", (model) => model.port],
  ["state", (model) => model.state],
  ["stale", (model) => String(model.stale)],
  ["age_ms", (model) => model.age_ms],
  ...figureCells("vram_allocated", (model) => model.vram.allocated_bytes),
  ...figureCells("kv_used", (model) => model.kv_cache.used_bytes),
  ...figureCells("kv_capacity", (model) => model.kv_cache.capacity_bytes),
  ["kv_usage_ratio", (model) => model.kv_cache.usage_ratio],
  ["hit_percent_minute", (model) => model.prefix_cache.minute.hit_percent],
  ["requests_running", (model) => model.requests.running],
  ["requests_waiting", (model) => model.requests.waiting],
  ["preemptions", (model) => model.requests.preemptions],
];

// As RFC 4180 has it. A name that a spreadsheet would take for a formula gets an apostrophe.
function csvCell(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const NODE_COLUMNS: [string, (node: FleetNode) => Cell][] = [
  ["node", (node) => node.node],
  ["state", (node) => node.state],
  ["reason", (node) => node.reason],
  ["counted", (node) => String(node.counted)],
  ["age_ms", (node) => node.age_ms],
  ["version", (node) => node.version],
  ["machine", (node) => node.machine],
  ["gpus", (node) => node.gpus],
  ["models", (node) => node.models],
  ["vram_total_bytes", (node) => node.vram.total_bytes],
  ["vram_allocated_bytes", (node) => node.vram.allocated_bytes],
  ["kv_used_bytes", (node) => node.kv_cache.used_bytes],
  ["kv_capacity_bytes", (node) => node.kv_cache.capacity_bytes],
  ["hit_percent", (node) => node.prefix_cache.hit_percent],
  ["requests_running", (node) => node.requests.running],
  ["requests_waiting", (node) => node.requests.waiting],
];

function csvOf<Item>(columns: readonly [string, (item: Item) => Cell][], items: readonly Item[]): Blob {
  const rows = items.map((item) => columns.map(([, of]) => csvCell(of(item))));
  const lines = [columns.map(([name]) => name), ...rows].map((row) => `${row.join(",")}\r\n`);
  return new Blob(lines, { type: "text/csv" });
}

export function saveCsv(detail: Detail): void {
  save(`vramscope-${stamp(detail.unix_ms)}.csv`, csvOf(COLUMNS, detail.models));
}

export function saveNodes(detail: Detail): void {
  save(`vramscope-nodes-${stamp(detail.unix_ms)}.csv`, csvOf(NODE_COLUMNS, detail.nodes ?? []));
}

// Of what the charts show. A link could show no token. Why there is none; "": there is.
export async function savePast(key: string, seconds: number, token: string): Promise<string> {
  const path = `/v1/history?format=csv&from=-${seconds}s&step=${stepOf(seconds)}s${modelParameter(key)}`;
  try {
    const response = await fetch(path, {
      cache: "no-store",
      redirect: "error",
      credentials: "omit",
      headers: token ? { Authorization: `Bearer ${token}` } : {},
    });
    if (response.status === 404) return "This daemon keeps no history: it is of an older version.";
    if (!response.ok) return `The history cannot be had: HTTP status ${response.status}.`;
    save(`vramscope-past-${stamp(Date.now())}.csv`, await response.blob());
    return "";
  } catch {
    return "The history cannot be had: the daemon does not answer.";
  }
}
