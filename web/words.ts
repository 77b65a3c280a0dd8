// SPDX-License-Identifier: Apache-2.0
// Numbers and states as people read them.

import { Figure, FleetNode, Model, NodeState, Provenance } from "./messages";

export const GIB = 2 ** 30;
export const UNKNOWN = "--";

// Of the sums: those of a fleet would take too many digits.
export type Unit = "GiB" | "TiB";
export const unitFor = (most: number | null): Unit => (most !== null && most >= 10_000 * GIB ? "TiB" : "GiB");

const grouped = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export function gib(bytes: number): string {
  const value = bytes / GIB;
  if (bytes !== 0 && Math.abs(value) < 0.05) return bytes < 0 ? ">-0.1" : "<0.1";
  return Math.abs(value) < 10_000 ? value.toFixed(1) : grouped.format(Math.round(value)); // a fleet's
}

export function gibOrUnknown(value: number | null | undefined, from: Provenance = "measured"): string {
  return figureText({ value: value ?? null, from, error: null, reason: null });
}

export function isInexact(figure: Figure): boolean {
  return figure.from === "derived" || figure.from === "estimated";
}

// "~" stands before what was worked out.
export function figureText(figure: Figure | undefined, unit: Unit = "GiB"): string {
  if (!figure || figure.value === null) return UNKNOWN;
  const text = gib(unit === "TiB" ? figure.value / 1024 : figure.value);
  return isInexact(figure) && /^-?\d/.test(text) ? `~${text}` : text; // "<0.1" says as much
}

export function count(value: number | null): string {
  return value === null ? UNKNOWN : grouped.format(value);
}

// For where there is little room: "1.2M".
export function shortCount(value: number | null, most = 100_000): string {
  return value === null ? UNKNOWN : (value < most ? grouped : compact).format(value);
}

export function percent(value: number | null, digits = 0): string {
  return value === null ? UNKNOWN : `${value.toFixed(digits)} %`;
}

export function exactBytes(bytes: number): string {
  return `${grouped.format(bytes)} bytes`;
}

// In the unit that suits it: "1.8 MiB".
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function sentence(text: string): string {
  if (text === "") return "";
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

export function duration(ms: number): string {
  const seconds = Math.max(ms, 0) / 1000;
  if (seconds < 1) return "<1 s";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

// Of what ends or is over: "0 s" is now.
export function wholeSeconds(ms: number): string {
  return ms < 1000 ? `${Math.max(Math.round(ms / 1000), 0)} s` : duration(ms);
}

const FROM: Record<Figure["from"], string> = {
  measured: "Measured by the GPU driver",
  engine: "Said by the engine itself",
  derived: "Worked out exactly from what engine and driver say",
  estimated: "Estimated",
  unknown: "Not known",
};

export function fromInWords(from: Figure["from"]): string {
  return FROM[from];
}

export function errorInWords(figure: Figure): string {
  if (figure.value === null) return "";
  if (figure.error === null) return "how far it may be off is not known";
  if (figure.error === 0) return "exact";
  return `off by ${size(figure.error)} at most (${exactBytes(figure.error)})`;
}

// One line, for what appears when the mouse rests on a number.
export function figureHint(figure: Figure | undefined): string {
  if (!figure) return "This daemon does not tell";
  if (figure.value === null) return `Not known: ${figure.reason ?? "no reason was given"}`;
  const parts = [exactBytes(figure.value), fromInWords(figure.from).toLowerCase()];
  if (figure.error !== 0) parts.push(errorInWords(figure));
  return parts.join(", ");
}

const STATES: Record<string, [badge: string, words: string]> = {
  ready: ["READY", "It answers."],
  loading: ["LOADING", "Its process is there, its port is not open yet."],
  starting: ["STARTING", "Its port is open, it does not answer yet."],
  sleeping: ["SLEEPING", "It answers, but its weights are offloaded and its KV cache is given back."],
  "metrics-disabled": ["NO METRICS", "It answers, but shows no metrics of an engine."],
  unreachable: ["UNREACHABLE", "It does not answer."],
};

export function stateBadge(state: string): string {
  return STATES[state]?.[0] ?? state.toUpperCase();
}

export function stateInWords(model: Model): string {
  const words = STATES[model.state]?.[1] ?? "";
  return model.reason ? `${words} ${model.reason}`.trim() : words;
}

const NODE_STATES: Record<NodeState, [badge: string, words: string]> = {
  live: ["LIVE", "Its figures come as they should."],
  stale: ["STALE", "Its figures are old, and still in the sums."],
  outage: ["NO FIGURES", "It is there, and has no figures of its GPUs: not in the sums."],
  unreadable: ["UNREADABLE", "What it says cannot be read: not in the sums."],
  lost: ["LOST", "Nothing has come from it for a while: not in the sums."],
};

export function nodeBadge(state: NodeState): string {
  return NODE_STATES[state]?.[0] ?? String(state).toUpperCase();
}

export function nodeInWords({ state, reason }: FleetNode): string {
  const words = NODE_STATES[state]?.[1] ?? "";
  return reason ? `${words} ${sentence(reason)}`.trim() : words;
}

// KV cache in use, 0..100; null: not known.
export function kvPercent(model: Model): number | null {
  const ratio = model.kv_cache.usage_ratio;
  return ratio === null ? null : 100 * ratio;
}

function shareOf(part: number | null, whole: number | null): number | null {
  return part === null || !whole ? null : (100 * part) / whole;
}

// Of all its models or of none: what some use is no part of what all have.
export function nodeKvPercent({ kv_cache: { used_bytes, capacity_bytes, unknown_models } }: FleetNode): number | null {
  return unknown_models === 0 ? shareOf(used_bytes, capacity_bytes) : null;
}

export function nodeVramPercent({ vram: { allocated_bytes, total_bytes } }: FleetNode): number | null {
  return shareOf(allocated_bytes, total_bytes);
}

export type Level = "normal" | "warning" | "critical";

export function kvLevel(used: number | null): Level {
  if (used === null || used < 70) return "normal";
  return used < 85 ? "warning" : "critical";
}
