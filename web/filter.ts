// SPDX-License-Identifier: Apache-2.0
// Which models, and which nodes, are shown: words that all must occur, and comparisons
// such as kv>80.

import { FleetNode, Model } from "./messages";
import { GIB, kvPercent, nodeKvPercent, nodeVramPercent, stateBadge } from "./words";

export type Test<Item> = (item: Item) => boolean;
type Numbers<Item> = Record<string, (item: Item) => number | null>;

const MODEL_NUMBERS: Numbers<Model> = {
  kv: kvPercent,
  hit: (model) => model.prefix_cache.minute.hit_percent,
  vram: (model) => gibOf(model.vram.allocated_bytes.value),
  run: (model) => model.requests.running,
  wait: (model) => model.requests.waiting,
  port: (model) => model.port,
};

// "vram>90%" is of all its memory, "vram>90" of so many GiB.
const NODE_NUMBERS: Numbers<FleetNode> = {
  kv: nodeKvPercent,
  hit: (node) => node.prefix_cache.hit_percent,
  vram: (node) => gibOf(node.vram.allocated_bytes),
  "vram%": nodeVramPercent,
  run: (node) => node.requests.running,
  wait: (node) => node.requests.waiting,
  age: (node) => (node.age_ms === null ? null : node.age_ms / 1000),
  gpus: (node) => node.gpus,
  models: (node) => node.models,
};

function gibOf(bytes: number | null): number | null {
  return bytes === null ? null : bytes / GIB;
}

function numberOf<Item>(numbers: Numbers<Item>, name: string, unit: string): Numbers<Item>[string] | undefined {
  const key = [name + unit, name].find((given) => Object.hasOwn(numbers, given));
  return key === undefined ? undefined : numbers[key];
}

function comparison<Item>(word: string, numbers: Numbers<Item>): Test<Item> | undefined {
  const parts = /^(\w+)(%?)(<=|>=|<|>|=)(\d+(?:\.\d+)?)(%?)$/.exec(word); // "kv%>80" is "kv>80%"
  const of = parts && numberOf(numbers, parts[1] as string, (parts[2] as string) || (parts[5] as string));
  if (!of) return undefined;
  const limit = Number(parts[4]);
  const holds: Record<string, (value: number) => boolean> = {
    "<": (value) => value < limit,
    ">": (value) => value > limit,
    "<=": (value) => value <= limit,
    ">=": (value) => value >= limit,
    "=": (value) => value === limit,
  };
  const test = holds[parts[3] as string];
  return (item) => {
    const value = of(item);
    return value !== null && test !== undefined && test(value);
  };
}

function modelText(model: Model): string {
  const gpus = model.devices.map((index) => `gpu${index}`).join(" ");
  const stale = model.stale ? "stale" : "";
  return `${model.model} ${model.model_id} ${model.port} ${stateBadge(model.state)} ${stale} ${gpus}`;
}

function nodeText(node: FleetNode): string {
  const more = [node.gateway ? "gateway" : "", node.name_taken ? "name taken" : "", node.counted ? "" : "not counted"].join(" ");
  return `${node.node} ${node.state} ${node.version ?? ""} ${more}`;
}

function filterBy<Item>(text: string, numbers: Numbers<Item>, textOf: (item: Item) => string): Test<Item> {
  const words = text.toLowerCase().split(/[\s&]+/).filter((word) => word !== "");
  const occurs = (word: string) => (item: Item) => textOf(item).toLowerCase().includes(word);
  const tests = words.map((word) => comparison(word, numbers) ?? occurs(word));
  return (item) => tests.every((test) => test(item));
}

export const filterOf = (text: string) => filterBy(text, MODEL_NUMBERS, modelText);
export const nodeFilterOf = (text: string) => filterBy(text, NODE_NUMBERS, nodeText);
