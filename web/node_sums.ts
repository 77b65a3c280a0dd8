// SPDX-License-Identifier: Apache-2.0
// The sums over those nodes that a filter lets through. As in the sums of the whole fleet, a
// node that is lost or has no figures of its own is not in them.

import { FleetNode, Provenance } from "./messages";
import { count, gibOrUnknown, shortCount } from "./words";

interface Sum {
  value: number | null; // of those where it is known; null: of none
  missing: number;
}

function sumOf(nodes: readonly FleetNode[], of: (node: FleetNode) => number | null): Sum {
  const sum: Sum = { value: nodes.length === 0 ? 0 : null, missing: 0 };
  for (const node of nodes) {
    const value = of(node);
    if (value === null) sum.missing++;
    else sum.value = (sum.value ?? 0) + value;
  }
  return sum;
}

const CERTAIN: Provenance[] = ["unknown", "measured", "engine", "derived", "estimated"]; // ever less

function worst(nodes: readonly FleetNode[], of: (node: FleetNode) => Provenance): Provenance {
  return nodes.reduce<Provenance>((from, node) => (CERTAIN.indexOf(of(node)) > CERTAIN.indexOf(from) ? of(node) : from), "unknown");
}

// "42 of 1,000 nodes: VRAM 12.0 of 34.0 GiB, ..."
export function nodeSumsText(nodes: readonly FleetNode[], all: number): string {
  const counted = nodes.filter((node) => node.counted);
  const allocated = sumOf(counted, (node) => node.vram.allocated_bytes);
  const total = sumOf(counted, (node) => node.vram.total_bytes);
  const used = sumOf(counted, (node) => node.kv_cache.used_bytes);
  const capacity = sumOf(counted, (node) => node.kv_cache.capacity_bytes);
  const vramFrom = worst(counted, (node) => node.vram.from);
  const kvFrom = worst(counted, (node) => node.kv_cache.from);
  const running = sumOf(counted, (node) => node.requests.running);
  const waiting = sumOf(counted, (node) => node.requests.waiting);
  const head = `${count(nodes.length)} of ${count(all)} nodes`;
  if (nodes.length === 0) return head;
  const missing = Math.max(...[allocated, total, used, capacity].map((sum) => sum.missing));
  const left = nodes.length - counted.length;
  const gaps = [
    left > 0 ? `without the figures of ${count(left)} that do not count` : "",
    missing > 0 ? `not known of ${count(missing)}` : "",
  ].filter((text) => text !== "");
  return [
    `${head}: VRAM ${gibOrUnknown(allocated.value, vramFrom)} of ${gibOrUnknown(total.value)} GiB`,
    `KV ${gibOrUnknown(used.value, kvFrom)} of ${gibOrUnknown(capacity.value, kvFrom)} GiB`,
    `${shortCount(running.value)} running`,
    `${shortCount(waiting.value)} waiting`,
    ...gaps,
  ].join(", ");
}
