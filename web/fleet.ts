// SPDX-License-Identifier: Apache-2.0
// How many nodes a gateway hears, and how well.

import { About } from "./about";
import { byId, setAttribute, setShare, setText } from "./dom";
import { Detail, Fleet } from "./messages";
import { count, size } from "./words";

// Who needs somebody first.
const STATES = [
  ["lost", "lost"],
  ["unreadable", "unreadable"],
  ["outage", "without figures"],
  ["stale", "stale"],
] as const;

function troubles(fleet: Fleet): string[] {
  return STATES.filter(([state]) => fleet[state] > 0).map(([state, words]) => `${count(fleet[state])} ${words}`);
}

export function showNodes(fleet: Fleet): void {
  const tile = byId("nodes-tile");
  const bad = troubles(fleet);
  const live = tile.querySelector('[data-figure="live"]') as HTMLElement;
  setText(live, count(fleet.live));
  setAttribute(live, "data-nodes", String(fleet.live));
  setText(tile.querySelector('[data-figure="nodes"]') as HTMLElement, count(fleet.nodes));
  setAttribute(tile, "data-troubled", bad.length > 0 ? "" : null);
  setShare(byId("nodes-share"), fleet.live / (fleet.nodes || 1));
  setText(byId("nodes-note"), bad.length > 0 ? bad.join(", ") : `${count(fleet.gpus)} GPU${fleet.gpus === 1 ? "" : "s"}`);
}

export function aboutNodes({ fleet }: Detail): About {
  if (!fleet) return { title: "Nodes", entries: [] };
  const { nats } = fleet;
  const faults = ([
    ["malformed", "could not be read"],
    ["dropped", "came faster than they could be taken"],
    ["refused", "were of nodes beyond the limit"],
    ["missed", "were published and did not come"],
  ] as const).filter(([key]) => nats[key] > 0);
  return {
    title: "Nodes",
    entries: [
      {
        name: "In the sums",
        text: `${count(fleet.counted)} of ${count(fleet.nodes)}`,
        lines: [`${[`${count(fleet.live)} live`, ...troubles(fleet)].join(", ")}.`, `${count(fleet.gpus)} GPUs.`],
      },
      {
        name: "NATS",
        text: nats.connected ? "connected" : "not connected",
        lines: [
          `${count(nats.messages)} messages, ${size(nats.bytes)}; connected anew ${count(nats.reconnects)} times.`,
          ...faults.map(([key, words]) => `${count(nats[key])} ${words}.`),
        ],
      },
    ],
  };
}
