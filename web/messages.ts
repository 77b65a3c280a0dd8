// SPDX-License-Identifier: Apache-2.0
// What page and feed say to each other, and the parts of the detail document
// (docs/wire.md) that the page reads. A key the daemon left out is undefined: not known.

export type Provenance = "measured" | "engine" | "derived" | "estimated" | "unknown";

export interface Figure {
  value: number | null;
  from: Provenance;
  error: number | null;
  reason: string | null;
}

export interface Hits {
  hits: number | null;
  queries: number | null;
  hit_percent: number | null;
}

// A row of a gateway is of all that serve a model at a port: `pid` and `devices` are nobody's.
export interface Model {
  model: string;
  model_id: string;
  port: number;
  pid: number | null;
  state: string;
  reason: string | null;
  stale: boolean;
  age_ms: number | null;
  devices: number[];
  scrape_interval_ms: number;
  vram: { allocated_bytes: Figure; kv_pool_bytes: Figure; rest_bytes: Figure };
  kv_cache: {
    used_bytes: Figure;
    capacity_bytes: Figure;
    retained_bytes: Figure;
    source: string | null;
    usage_ratio: number | null;
    used_blocks: number | null;
    blocks: number | null;
    block_tokens: number | null;
    capacity_tokens: number | null;
    dtype: string | null;
    reason: string | null;
  };
  requests: { running: number | null; waiting: number | null; preemptions: number | null };
  prefix_cache: { from: string; minute: Hits; five_minutes: Hits; lifetime: Hits };
  nodes?: number; // a gateway's alone
  nodes_ready?: number;
}

// Something that happened, in the daemon's words and by its clock.
export interface HostEvent {
  id: number;
  unix_ms: number;
  kind: string;
  severity: string; // "info", "warning", "critical"
  text: string;
  node?: string; // where, as a gateway tells
}

export type NodeState = "lost" | "unreadable" | "outage" | "stale" | "live";

// A node as its gateway sees it. There may be thousands: plain numbers.
export interface FleetNode {
  node: string;
  state: NodeState;
  reason: string | null;
  counted: boolean; // its figures are in the sums
  gateway: boolean; // of `nodes` further ones
  nodes: number;
  name_taken: boolean;
  age_ms: number | null;
  interval_ms: number | null;
  clock_offset_ms: number | null;
  version: string | null;
  machine: string | null;
  gpus: number;
  models: number;
  vram: { total_bytes: number | null; allocated_bytes: number | null; from: Provenance };
  kv_cache: { used_bytes: number | null; capacity_bytes: number | null; from: Provenance; unknown_models: number };
  prefix_cache: { hit_percent: number | null };
  requests: { running: number | null; waiting: number | null };
}

export interface Fleet {
  nodes: number;
  live: number;
  stale: number;
  outage: number;
  unreadable: number;
  lost: number;
  counted: number;
  gpus: number;
  kv_pool_bytes: Figure;
  kv_pool_unknown_models: number;
  requests: { running: number | null; waiting: number | null };
  nats: {
    connected: boolean;
    reconnects: number;
    messages: number;
    bytes: number;
    malformed: number;
    dropped: number;
    refused: number;
    missed: number;
  };
}

export interface Device {
  backend: string;
  index: number;
  uuid: string;
  name: string;
  parent_uuid: string | null;
  instance: number | null;
  unified: boolean;
  total_bytes: number | null;
  used_bytes: number | null;
  reserved_bytes: number | null;
  processes_bytes: number;
  reason: string | null;
  models_bytes?: number;
  kv_pool_bytes?: Figure;
  kv_used_bytes?: Figure;
  other_bytes?: number;
  orphan_bytes?: number;
  unattributed_bytes?: number | null;
}

export interface Process {
  pid: number;
  comm: string | null;
  device: number;
  bytes: number | null;
  owner: "engine" | "orphan" | "other";
  port: number | null;
}

export interface Detail {
  version: string;
  boot: string;
  seq: number;
  unix_ms: number;
  interval_ms: number;
  vram: {
    total_bytes: Figure;
    allocated_bytes: Figure;
    models_bytes: number;
    other_bytes: number;
    orphan_bytes: number;
    unattributed_bytes: number;
  };
  kv_cache: { used_bytes: number | null; unknown_models: number };
  prefix_cache: { hit_percent: number | null; in_window: boolean };
  gpu: {
    age_ms: number | null;
    sources: { backend: string; verdict: string; driver_version: string | null; reason: string | null }[];
  };
  devices: Device[];
  models: Model[];
  processes: Process[];
  processes_left_out: number;
  self: { rss_bytes: number | null; cpu_seconds: number | null; subscribers: number };
  events?: HostEvent[]; // the newest; undefined: the daemon keeps none
  node?: string; // of which a gateway tells this
  fleet?: Fleet; // undefined: not a gateway's
  nodes?: FleetNode[]; // by name
  nodes_left_out?: number;
  models_left_out?: number;
  outage?: Outage; // undefined: there are figures
}

// Why none of a gateway's nodes counts.
export interface Outage {
  code: string;
  message: string;
  remedy: string | null;
}

// What may be done about it, with the figures behind it; GET /v1/advice.
export interface Advice {
  id: string;
  severity: string;
  confidence: string; // "low", "medium", "high"
  observed_ms: number | null; // 0: nothing was, as it rests on the present alone
  model: string | null;
  model_id: string | null;
  port: number | null;
  title: string;
  text: string | null;
  arithmetic: string[];
  command: string | null;
}

export type Status =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "paused" }
  | { state: "no-data"; code: string; reason: string; remedy: string }
  | { state: "lost"; reason: string; remedy: string; retryAt: number } // unix ms
  | { state: "no-node"; code: string; reason: string; remedy: string; retryAt: number }
  | { state: "token-needed"; reason: string };

// Series of one model, by `key`; the same instants for all three. null: not known then.
export interface History {
  times: number[]; // unix seconds, rising
  allocated: (number | null)[];
  kvUsed: (number | null)[];
  hitPercent: (number | null)[];
}

// Of the node that a page looks at; "": of the host itself, or the whole fleet.
export type ToPage = { node: string } & Told;

export type Told =
  | { kind: "status"; status: Status }
  | { kind: "detail"; json: string; ageMs: number } // a Detail; text costs less to send
  | { kind: "advice"; advice: Advice[] }
  | { kind: "events"; events: HostEvent[] } // all that are known
  | { kind: "history"; key: string; seconds: number; history: History };

// "visible" is said again and again: who has long been silent is taken for gone.
export const HEARTBEAT_MS = 20_000;

export type ToFeed =
  | { kind: "visible"; visible: boolean; node: string }
  | { kind: "token"; token: string }
  | { kind: "history"; key: string; seconds: number }
  | { kind: "retry" }
  | { kind: "leave" };

// A model's identity, from one document to the next and in the address bar.
export function keyOf(model: Model): string {
  return `${model.model_id}:${model.port}`;
}

// The sum over all models.
export const TOTAL = "";
