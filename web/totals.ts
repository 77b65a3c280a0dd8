// SPDX-License-Identifier: Apache-2.0
// The sums on top.

import { About, figureEntry, showAbout } from "./about";
import { byId, setAttribute, setHidden, setShare, setText } from "./dom";
import { aboutNodes, showNodes } from "./fleet";
import { Detail, Figure, Model } from "./messages";
import { UNKNOWN, Unit, figureHint, figureText, gib, percent, shortCount, size, unitFor } from "./words";

export interface Sums {
  allocated: Figure;
  total: Figure;
  kvUsed: Figure;
  kvCapacity: Figure;
  hitPercent: number | null;
  running: number | null;
  waiting: number | null;
}

// Of those models where it is known; as uncertain as the least certain of them.
function sum(models: readonly Model[], figureOf: (model: Model) => Figure): Figure {
  const known = models.map(figureOf).filter(({ value }) => value !== null);
  if (models.length > 0 && known.length === 0)
    return { value: null, from: "unknown", error: null, reason: "it is not known of any model" };
  const missing = models.length - known.length;
  const from = (["estimated", "derived"] as const).find((word) => known.some((f) => f.from === word));
  return {
    value: known.reduce((bytes, { value }) => bytes + (value as number), 0),
    from: from ?? known[0]?.from ?? "measured",
    error: known.reduce<number | null>(
      (error, f) => (error === null || f.error === null ? null : error + f.error),
      0,
    ),
    reason: missing === 0 ? null : `without ${missing} of ${models.length} models, where it is not known`,
  };
}

function sumOf(models: readonly Model[], of: (model: Model) => number | null): number | null {
  const known = models.map(of).filter((value) => value !== null);
  return models.length > 0 && known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}

// Of a fleet the gateway itself has them: more may be known than there are rows of models.
function fleetSums(kvUsed: Figure, { kv_cache, fleet }: Detail): Partial<Sums> {
  if (!fleet) return {};
  const from = kvUsed.from === "unknown" ? "engine" : kvUsed.from;
  const used: Figure =
    kv_cache.used_bytes === null
      ? { value: null, from: "unknown", error: null, reason: "it is not known of any model" }
      : { ...kvUsed, from, value: kv_cache.used_bytes };
  return { kvUsed: used, kvCapacity: fleet.kv_pool_bytes, ...fleet.requests };
}

export function sumsOf(detail: Detail): Sums {
  const { models } = detail;
  const kvUsed = sum(models, (model) => model.kv_cache.used_bytes);
  return {
    allocated: detail.vram.allocated_bytes,
    total: detail.vram.total_bytes,
    kvUsed,
    kvCapacity: sum(models, (model) => model.kv_cache.capacity_bytes),
    hitPercent: detail.prefix_cache.hit_percent,
    running: sumOf(models, (model) => model.requests.running),
    waiting: sumOf(models, (model) => model.requests.waiting),
    ...fleetSums(kvUsed, detail),
  };
}

// Of the pool, 0..100; null where one of them is not known.
export function kvShare(sums: Sums): number | null {
  const { value: used } = sums.kvUsed;
  const { value: all } = sums.kvCapacity;
  return used === null || all === null || all === 0 ? null : (100 * used) / all;
}

const tiles = document.querySelector(".tiles") as HTMLElement;

function showFigure(name: string, figure: Figure, unit: Unit): void {
  const node = tiles.querySelector(`[data-figure="${name}"]`) as HTMLElement;
  setText(node, figureText(figure, unit));
  setAttribute(node, "data-bytes", figure.value === null ? null : String(figure.value));
  setAttribute(node, "data-unknown", figure.value === null ? "" : null);
  setAttribute(node, "title", figureHint(figure));
}

function showNumber(name: string, text: string, value: number | null): void {
  const node = tiles.querySelector(`[data-figure="${name}"]`) as HTMLElement;
  setText(node, text);
  setAttribute(node, "data-value", value === null ? null : String(value));
  setAttribute(node, "data-unknown", value === null ? "" : null);
}

// What of it there is, of all; both in one unit.
function showPair(names: [of: string, all: string], part: Figure, whole: Figure): void {
  const unit = unitFor(whole.value);
  showFigure(names[0], part, unit);
  showFigure(names[1], whole, unit);
  setText(byId(`${names[1]}-unit`), unit);
}

function noModels(detail: Detail): string {
  return detail.outage ? "not known" : "no model is served";
}

function windowInWords(detail: Detail): string {
  if (detail.models.length === 0) return noModels(detail);
  if (detail.prefix_cache.hit_percent === null) return "nothing was looked up";
  return detail.prefix_cache.in_window ? "of tokens, last minute" : "of tokens, since the engines' start";
}

export function showTotals(detail: Detail, sums: Sums): void {
  const { allocated, total } = sums;
  setHidden(byId("nodes-tile"), !detail.fleet);
  if (detail.fleet) showNodes(detail.fleet);
  showPair(["allocated", "total"], allocated, total);
  showPair(["kv-used", "kv-capacity"], sums.kvUsed, sums.kvCapacity);
  const free = allocated.value === null || total.value === null ? null : total.value - allocated.value;
  setShare(byId("allocated-share"), (allocated.value ?? 0) / (total.value || 1));
  setText(byId("allocated-note"), free === null ? "not known" : `${unitFor(free) === "GiB" ? `${gib(free)} GiB` : size(free)} not allocated`);

  const n = detail.models.length + (detail.models_left_out ?? 0);
  const share = kvShare(sums);
  const unknown = detail.kv_cache.unknown_models;
  const gap = unknown > 0 ? `not known of ${unknown} model${unknown > 1 ? "s" : ""}` : "";
  const of = share === null ? "" : `${percent(share)} of the pools`;
  setShare(byId("kv-share"), (share ?? 0) / 100);
  setText(byId("kv-note"), [of, gap].filter((part) => part !== "").join(", ") || (n === 0 ? noModels(detail) : "no pool is known"));

  const hits = sums.hitPercent;
  showNumber("hit-percent", hits === null ? UNKNOWN : hits.toFixed(1), hits);
  setShare(byId("hit-share"), (hits ?? 0) / 100);
  setText(byId("hit-note"), windowInWords(detail));

  const most = detail.fleet ? 10_000 : 100_000;
  showNumber("running", shortCount(sums.running, most), sums.running);
  showNumber("waiting", shortCount(sums.waiting, most), sums.waiting);
  const all = (sums.running ?? 0) + (sums.waiting ?? 0);
  setShare(byId("run-share"), all === 0 ? 0 : (sums.running ?? 0) / all);
  const served = detail.models.filter((model) => model.state === "ready").length;
  setText(byId("requests-note"), n === 0 ? noModels(detail) : `${served} of ${n} model${n === 1 ? "" : "s"} ready`);
}

function parts(detail: Detail): About["entries"] {
  const plain = (name: string, value: number, line: string) =>
    figureEntry(name, { value, from: "measured", error: 0, reason: null }, line);
  return [
    plain("Models", detail.vram.models_bytes, "Of models where it is known."),
    plain("Other", detail.vram.other_bytes, "Processes that belong to no engine."),
    plain("Orphans", detail.vram.orphan_bytes, "Workers of vLLM whose server is gone."),
    plain("Unattributed", detail.vram.unattributed_bytes, "What the driver counts for a device and for no process."),
  ].filter(({ text }) => text !== "0.0 GiB");
}

function aboutOf(what: string, detail: Detail, sums: Sums): About {
  const known = (value: number | null, unit = "") => (value === null ? UNKNOWN : `${value}${unit}`);
  switch (what) {
    case "nodes":
      return aboutNodes(detail);
    case "allocated":
      return {
        title: "VRAM",
        entries: [
          figureEntry("Allocated", sums.allocated, "In use by anyone, without what driver and firmware reserve. vLLM allocates ahead: 90 % is normal."),
          ...parts(detail),
          figureEntry("Of all devices", sums.total),
        ],
      };
    case "kv":
      return {
        title: "KV cache",
        entries: [
          figureEntry("Used", sums.kvUsed, "Blocks that live requests hold. What is only kept for reuse is not counted: an idle server shows 0."),
          figureEntry("Pools", sums.kvCapacity, "What the KV caches were given at their start."),
        ],
      };
    case "hits":
      return {
        title: "Prefix cache",
        entries: [
          {
            name: "Hit rate",
            text: percent(sums.hitPercent, 2),
            lines: [
              detail.prefix_cache.in_window
                ? "Tokens found in the cache, of all that were looked up in the last 60 s, over all models."
                : "Nothing was looked up in the last minute yet: since the engines started.",
            ],
          },
        ],
      };
    default:
      return {
        title: "Requests",
        entries: [
          { name: "Running", text: known(sums.running), lines: ["In the engines' batches, as they say."] },
          { name: "Waiting", text: known(sums.waiting), lines: ["In their queues."] },
        ],
      };
  }
}

// `now` gives what is shown at present.
export function openTotals(now: () => { detail: Detail; sums: Sums } | undefined): void {
  for (const tile of tiles.querySelectorAll<HTMLElement>("[data-about]")) {
    tile.addEventListener("click", () => {
      const shown = now();
      if (shown) showAbout(tile, aboutOf(tile.dataset["about"] ?? "", shown.detail, shown.sums));
    });
  }
}
