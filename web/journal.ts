// SPDX-License-Identifier: Apache-2.0
// What has changed since the page was opened, by comparing each document with the one before.

import { byId, element, setHidden, setText } from "./dom";
import { Detail, Model, Status, keyOf } from "./messages";
import { gib, stateBadge, wholeSeconds } from "./words";

const KEPT = 100;
const MERGED_MS = 60_000; // preemptions of one model within this are one line

type Kind = "good" | "bad" | "plain";

const list = byId("events");
const empty = byId("events-empty");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

interface Line {
  text: HTMLElement;
  atMs: number;
  count: number;
}

const preempting = new Map<string, Line>();
let before: Detail | undefined;
let lostAt = 0;

function note(kind: Kind, what: string, text: string): Line {
  const now = new Date();
  const words = element("span", { class: "what" }, text);
  const time = element("time", { datetime: now.toISOString(), class: "quiet numbers" }, clock.format(now));
  list.prepend(element("li", { "data-kind": kind, "data-event": what }, time, words));
  while (list.childElementCount > KEPT) list.lastElementChild?.remove();
  setHidden(empty, true);
  return { text: words, atMs: Date.now(), count: 0 };
}

function notePreemptions(model: Model, more: number): void {
  const key = keyOf(model);
  let line = preempting.get(key);
  if (!line || Date.now() - line.atMs > MERGED_MS || !line.text.isConnected) {
    line = note("bad", "preempted", "");
    preempting.set(key, line);
  }
  line.count += more;
  setText(line.text, `${nameOf(model)} preempted ${line.count} request${line.count === 1 ? "" : "s"}: its KV cache was full`);
}

function nameOf(model: Model): string {
  return model.port === 0 ? model.model : `${model.model} :${model.port}`;
}

function compareModel(old: Model, now: Model): void {
  const name = nameOf(now);
  if (old.state !== now.state) {
    const reason = now.reason ? ` (${now.reason})` : "";
    const kind = now.state === "ready" ? "good" : now.state === "unreachable" ? "bad" : "plain";
    note(kind, "state", `${name}: ${stateBadge(old.state)} → ${stateBadge(now.state)}${reason}`);
  }
  if (old.stale !== now.stale)
    note(now.stale ? "bad" : "good", "stale", `${name}: figures are ${now.stale ? "stale" : "fresh again"}`);
  if (old.pid !== now.pid && old.pid !== null && now.pid !== null)
    note("plain", "restarted", `${name} was started again`);
  const more = (now.requests.preemptions ?? 0) - (old.requests.preemptions ?? now.requests.preemptions ?? 0);
  if (more > 0) notePreemptions(now, more);
}

function compareModels(old: Detail, now: Detail): void {
  const left = new Map(old.models.map((model) => [keyOf(model), model]));
  for (const model of now.models) {
    const known = left.get(keyOf(model));
    left.delete(keyOf(model));
    if (known) compareModel(known, model);
    else note("plain", "appeared", `${nameOf(model)} appeared (${stateBadge(model.state)})`);
  }
  for (const model of left.values()) {
    note("plain", "vanished", `${nameOf(model)} is gone`);
    preempting.delete(keyOf(model));
  }
}

function compareDevices(old: Detail, now: Detail): void {
  const name = (device: Detail["devices"][number]) => `GPU ${device.index} ${device.name}`.trim();
  const has = (detail: Detail, uuid: string) => detail.devices.some((device) => device.uuid === uuid);
  for (const device of now.devices)
    if (device.uuid && !has(old, device.uuid)) note("plain", "device", `${name(device)} appeared`);
  for (const device of old.devices)
    if (device.uuid && !has(now, device.uuid)) note("bad", "device", `${name(device)} is gone`);
  if (old.vram.orphan_bytes === 0 && now.vram.orphan_bytes > 0)
    note("bad", "orphan", `${gib(now.vram.orphan_bytes)} GiB are held by a worker whose server is gone`);
  else if (old.vram.orphan_bytes > 0 && now.vram.orphan_bytes === 0)
    note("good", "orphan", "The memory of orphans was given back");
}

export function seeDetail(now: Detail): void {
  if (before && before.boot !== now.boot) note("plain", "restarted", "The daemon was started again");
  if (before) {
    compareModels(before, now);
    compareDevices(before, now);
  }
  before = now;
}

export function seeStatus(old: Status, now: Status): void {
  const wasGood = old.state === "live" || old.state === "connecting";
  const isBad = now.state === "lost" || now.state === "no-data";
  if (wasGood && isBad && lostAt === 0) {
    lostAt = Date.now();
    note("bad", "lost", `${now.state === "lost" ? "Connection lost" : "The driver gives no figures"}: ${now.reason}`);
  } else if (now.state === "live" && lostAt > 0) {
    note("good", "back", `Figures are back after ${wholeSeconds(Date.now() - lostAt)}`);
    lostAt = 0;
  }
}
