// SPDX-License-Identifier: Apache-2.0
// What has happened: on the host, as the daemon tells it, and to the connection with it.

import { nodeLink } from "./address";
import { Keyed, byId, element, setHidden, setText } from "./dom";
import { eventKey } from "./events";
import { Detail, HostEvent, Status } from "./messages";
import { wholeSeconds } from "./words";

const SHOWN = 100;

interface Line {
  at: number; // unix ms by the clock of who tells it
  order: number; // by ours
  severity: string;
  kind: string;
  text: string;
  node: string; // of a fleet, where; "": here
}

const empty = byId("events-empty");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const lines = new Keyed<Line, { root: HTMLElement }>(byId("events"), made, () => undefined);

let notes: (readonly [string, Line])[] = [];
let told: readonly HostEvent[] = [];
let skewMs = 0; // of the daemon's clock
let isFleet = false;
let lostAt = 0;

function timeText(at: number): string {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return (isToday ? clock : date).format(at);
}

function made(line: Line): { root: HTMLElement } {
  const time = element("time", { datetime: new Date(line.at).toISOString(), class: "quiet numbers" }, timeText(line.at));
  const words = element("span", { class: "what" }, line.text);
  if (line.node) {
    const link = element("a", { href: nodeLink(line.node) }, line.node);
    const isSaid = line.text.startsWith(`${line.node} `);
    words.replaceChildren(link, isSaid ? line.text.slice(line.node.length) : `: ${line.text}`);
  }
  return { root: element("li", { "data-severity": line.severity, "data-event": line.kind }, time, words) };
}

// A Date holds no more than that; the daemon's clock is not ours.
function isTime(at: number): boolean {
  return Number.isFinite(at) && Math.abs(at) < 8.64e15;
}

function lineOf(event: HostEvent): Line {
  const at = isTime(event.unix_ms) ? event.unix_ms : 0;
  const { severity, kind, text, node } = event;
  return { at, order: at + skewMs, severity, kind, text: text || kind, node: isFleet ? (node ?? "") : "" };
}

function keyed(event: HostEvent): readonly [string, Line] {
  const line = lineOf(event);
  return [`${eventKey(event)} ${line.node}`, line];
}

function show(): void {
  const all = [...told.map(keyed), ...notes];
  const newest = all.sort(([, a], [, b]) => b.order - a.order).slice(0, SHOWN);
  lines.show(newest);
  setHidden(empty, newest.length > 0);
}

function note(severity: string, kind: string, text: string): void {
  const now = Date.now();
  notes = [...notes, [`note ${now} ${kind}`, { at: now, order: now, severity, kind, text, node: "" }] as const].slice(-SHOWN);
  show();
}

export function seeEvents(events: readonly HostEvent[]): void {
  told = events;
  show();
}

export function seeDetail(now: Detail, ageMs: number): void {
  skewMs = Date.now() - ageMs - now.unix_ms;
  if (isFleet !== (now.fleet !== undefined)) {
    isFleet = now.fleet !== undefined;
    show();
  }
  setText(empty, now.events || now.node ? "Nothing has happened yet." : "This daemon keeps no events: it is of an older version.");
}

// Another place is looked at.
export function clearJournal(): void {
  notes = [];
  told = [];
  lostAt = 0;
  show();
}

export function seeStatus(old: Status, now: Status): void {
  const wasGood = old.state === "live" || old.state === "connecting";
  const isBad = now.state === "lost" || now.state === "no-data";
  if (wasGood && isBad && lostAt === 0) {
    lostAt = Date.now();
    note("warning", "lost", `${now.state === "lost" ? "Connection lost" : "No figures come"}: ${now.reason}`);
  } else if (now.state === "live" && lostAt > 0) {
    note("info", "back", `Figures are back after ${wholeSeconds(Date.now() - lostAt)}`);
    lostAt = 0;
  }
}
