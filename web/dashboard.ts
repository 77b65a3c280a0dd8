// SPDX-License-Identifier: Apache-2.0
// The page: what comes from the feed is kept, and shown with the next frame.

import { RANGES, Range, readPlace, writePlace } from "./address";
import { showAdvice } from "./advice";
import { Charts, Tops } from "./charts";
import { showDevices } from "./devices";
import { byId, element, setAttribute, setChildren, setHidden, setText } from "./dom";
import { saveCsv, saveJson, saveNodes, savePast } from "./download";
import { clearJournal, seeDetail, seeEvents, seeStatus } from "./journal";
import { Link } from "./link";
import { Detail, Status, TOTAL, ToPage, keyOf } from "./messages";
import { ModelTable } from "./models";
import { NodeTable } from "./nodes";
import { Connection, badgeOf, onToken, showConnection } from "./notice";
import { showOthers } from "./others";
import { startTheme } from "./theme";
import { Sums, kvShare, openTotals, showTotals, sumsOf } from "./totals";
import { Where } from "./where";
import { percent, size } from "./words";

// More rows than anybody follows at once are drawn once a second, all figures together.
const MANY_MODELS = 8;
const MANY_MS = 900;
const FLEET_MS = 1000; // a fleet's documents are long: one a second is read
const TOKEN_KEY = "vramscope-token"; // sessionStorage: gone with the tab

const place = readPlace(location.hash);
let detail: Detail | undefined;
let sums: Sums | undefined;
let receivedAt = 0;
let status: Status = { state: "connecting" };
let waiting: Extract<ToPage, { kind: "detail" }> | undefined; // of a fleet, until it is time
let waitingTimer = 0;
let readAt = -Infinity;
let wasElsewhere = false;
let past: Extract<ToPage, { kind: "history" }> | undefined;
let paused = false;
let frame = 0;
let renderedAt = -Infinity;

function storedToken(): string {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

function keepToken(token: string): void {
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // then it lasts as long as the feed
  }
}

let shownToken = storedToken();
const table = new ModelTable(place, onPlace);
const nodes = new NodeTable(place, onPlace);
const where = new Where(place, onMove, onChange);
const link = new Link(onMessage, () => shownToken, place.node);
const charts = new Charts((key, seconds) => link.send({ kind: "history", key, seconds }));
const chartModel = byId<HTMLSelectElement>("chart-model");
const ranges = [...document.querySelectorAll<HTMLElement>("[data-range]")];

function ageMs(): number {
  return performance.now() - receivedAt;
}

function connection(): Connection {
  const tokenRefused = shownToken !== "";
  return { status, detail, ageMs: ageMs(), paused, tokenRefused, node: place.node, wasElsewhere };
}

type DetailMessage = Extract<ToPage, { kind: "detail" }>;

// Whether it is left for later: another may come before then, and nobody reads this one.
function isEarly(message: DetailMessage): boolean {
  const wait = detail?.fleet ? FLEET_MS - (performance.now() - readAt) : 0;
  if (wait <= 0) return false;
  waiting = { ...message, ageMs: message.ageMs - performance.now() }; // from now on
  waitingTimer ||= window.setTimeout(() => {
    waitingTimer = 0;
    if (waiting) onMessage({ ...waiting, ageMs: waiting.ageMs + performance.now() });
  }, wait);
  return true;
}

function onMessage(message: ToPage): void {
  if (message.node !== place.node) return; // of where we were
  switch (message.kind) {
    case "detail":
      if (paused || isEarly(message)) return;
      waiting = undefined;
      readAt = performance.now();
      detail = JSON.parse(message.json) as Detail;
      receivedAt = performance.now() - message.ageMs;
      seeDetail(detail, message.ageMs);
      if (detail.models.length > MANY_MODELS && receivedAt - renderedAt < MANY_MS) return;
      break;
    case "status":
      seeStatus(status, message.status);
      status = message.status;
      if (status.state === "token-needed") keepToken("");
      if (status.state === "live") charts.refresh(); // there may be more to be had
      break;
    case "advice":
      return showAdvice(message.advice);
    case "events":
      return seeEvents(message.events);
    case "history":
      past = message;
      if (status.state === "live" && !paused) return; // with the next document, in one frame
      break;
  }
  schedule();
}

function drawPast(): void {
  if (past && past.key === place.model && past.seconds === RANGES[place.range])
    charts.draw(past.history, past.seconds, (detail?.unix_ms ?? Date.now()) / 1000, tops());
  past = undefined;
}

// Up to where the charts go: what there is to be had.
function tops(): Tops {
  if (place.model === TOTAL)
    return { allocated: sums?.total.value ?? null, kvUsed: sums?.kvCapacity.value ?? null };
  const model = detail?.models.find((candidate) => keyOf(candidate) === place.model);
  return { allocated: null, kvUsed: model?.kv_cache.capacity_bytes.value ?? null };
}

function schedule(): void {
  if (frame === 0) frame = requestAnimationFrame(render);
}

function render(): void {
  frame = 0;
  renderedAt = performance.now();
  showConnection(connection());
  where.show(detail);
  if (detail) {
    sums = sumsOf(detail);
    showTotals(detail, sums);
    showDevices(detail);
    const sinceMs = status.state === "live" && !paused ? 0 : ageMs();
    if (detail.fleet) nodes.show(detail, sinceMs);
    table.show(detail, sinceMs);
    showOthers(detail);
    showChoice(detail);
    showFoot(detail);
  }
  showTitle();
  drawPast();
  charts.tick(place.model, place.range);
}

const option = new Map<string, HTMLOptionElement>();

// A model that is gone keeps its past, and its place in the list while it is chosen.
function showChoice(now: Detail): void {
  const names = new Map([[TOTAL, "all models"]]);
  for (const model of now.models) names.set(keyOf(model), `${model.model} :${model.port}`);
  if (!names.has(place.model)) names.set(place.model, `${place.model} (gone)`);
  for (const key of option.keys()) if (!names.has(key)) option.delete(key);
  for (const [key, name] of names) {
    const known = option.get(key) ?? element("option", { value: key });
    option.set(key, known);
    setText(known, name);
  }
  setChildren(chartModel, [...names.keys()].map((key) => option.get(key) as Element));
  if (chartModel.value !== place.model) chartModel.value = place.model;
  for (const button of ranges)
    setAttribute(button, "aria-pressed", String(button.dataset["range"] === place.range));
}

function showFoot(now: Detail): void {
  const driver = now.gpu.sources.find(({ verdict }) => verdict === "ok");
  const parts = [`vramscoped ${now.version}`];
  if (driver?.driver_version) parts.push(`${driver.backend} driver ${driver.driver_version}`);
  parts.push(`every ${now.interval_ms} ms`);
  if (now.self.rss_bytes !== null) parts.push(`the daemon itself takes ${size(now.self.rss_bytes)}`);
  parts.push("1 GiB = 2³⁰ bytes, ~ worked out, -- not known");
  setText(byId("foot"), parts.join(" · "));
}

// Why there is no file of the past; "": there is.
function showPastFault(why: string): void {
  const fault = byId("past-fault");
  setText(fault, why);
  setHidden(fault, why === "");
}

function showTitle(): void {
  const [state, text] = badgeOf(connection());
  const share = sums ? kvShare(sums) : null;
  const figure = share === null ? text : `KV ${percent(share)}`;
  const host = place.node === "" ? location.host : place.node;
  const title = `${state === "live" ? figure : text} · ${host} · vramscope`;
  if (document.title !== title) document.title = title;
}

function onPlace(): void {
  history.replaceState(null, "", `${location.pathname}${location.search}${writePlace(place)}`);
  where.remember();
  onChange();
}

function onChange(): void {
  charts.refresh();
  render();
}

// To another place: nothing of this one stays.
function onMove(): void {
  detail = sums = past = waiting = undefined;
  status = { state: "connecting" };
  wasElsewhere = true;
  if (paused) setPaused(false);
  showAdvice([]);
  clearJournal();
  showPastFault("");
  charts.refresh(true);
  link.setNode(place.node);
  render();
}

function setPaused(next: boolean): void {
  paused = next;
  const button = byId("pause");
  button.textContent = paused ? "Resume" : "Pause";
  setAttribute(button, "aria-pressed", String(paused));
  link.setPaused(paused);
  render();
}

function begin(): void {
  setText(byId("host"), location.host);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says what is shown
    byId("content").focus();
  });
  byId("pause").addEventListener("click", () => setPaused(!paused));
  byId("retry").addEventListener("click", () => link.send({ kind: "retry" }));
  for (const [id, save] of [["download-json", saveJson], ["download-csv", saveCsv], ["download-nodes", saveNodes]] as const)
    byId(id).addEventListener("click", () => {
      if (detail) save(detail);
      byId("download-menu").hidePopover();
    });
  byId("download-past").addEventListener("click", () => {
    byId("download-menu").hidePopover();
    if (place.node !== "") return showPastFault("A gateway keeps no past of its nodes: the node itself has one.");
    void savePast(place.model, RANGES[place.range], shownToken).then(showPastFault);
  });
  chartModel.addEventListener("change", () => {
    place.model = chartModel.value;
    onPlace();
  });
  for (const button of ranges)
    button.addEventListener("click", () => {
      place.range = button.dataset["range"] as Range;
      onPlace();
    });
  onToken((token) => {
    shownToken = token;
    keepToken(token);
    link.send({ kind: "token", token });
  });
  openTotals(() => (detail && sums ? { detail, sums } : undefined));
  startTheme(() => charts.refresh(true));
  setInterval(() => {
    if (status.state !== "live" || paused) schedule();
  }, 1000);
  schedule();
}

begin();
