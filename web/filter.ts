// SPDX-License-Identifier: Apache-2.0
// Which models are shown: words that all must occur, and comparisons such as kv>80.

import { Model } from "./messages";
import { GIB, kvPercent, stateBadge } from "./words";

const NUMBERS: Record<string, (model: Model) => number | null> = {
  kv: kvPercent,
  hit: (model) => model.prefix_cache.minute.hit_percent,
  vram: (model) => gibOf(model.vram.allocated_bytes.value),
  run: (model) => model.requests.running,
  wait: (model) => model.requests.waiting,
  port: (model) => model.port,
};

function gibOf(bytes: number | null): number | null {
  return bytes === null ? null : bytes / GIB;
}

type Test = (model: Model) => boolean;

function comparison(word: string): Test | undefined {
  const parts = /^(\w+)(<=|>=|<|>|=)(\d+(?:\.\d+)?)%?$/.exec(word);
  const of = parts && NUMBERS[parts[1] as string];
  if (!of) return undefined;
  const limit = Number(parts[3]);
  const holds: Record<string, (value: number) => boolean> = {
    "<": (value) => value < limit,
    ">": (value) => value > limit,
    "<=": (value) => value <= limit,
    ">=": (value) => value >= limit,
    "=": (value) => value === limit,
  };
  const test = holds[parts[2] as string];
  return (model) => {
    const value = of(model);
    return value !== null && test !== undefined && test(value);
  };
}

function occurrence(word: string): Test {
  return (model) => {
    const gpus = model.devices.map((index) => `gpu${index}`).join(" ");
    const stale = model.stale ? "stale" : "";
    const text = `${model.model} ${model.model_id} ${model.port} ${stateBadge(model.state)} ${stale} ${gpus}`;
    return text.toLowerCase().includes(word);
  };
}

export function filterOf(text: string): Test {
  const words = text.toLowerCase().split(/[\s&]+/).filter((word) => word !== "");
  const tests = words.map((word) => comparison(word) ?? occurrence(word));
  return (model) => tests.every((test) => test(model));
}
