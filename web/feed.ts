// SPDX-License-Identifier: Apache-2.0
// The one stream of a browser, whatever the number of its tabs: a SharedWorker, or, where
// there is none, a Worker of one page. It reads /v1/detail/stream while a page is looked at.

import { Archive } from "./archive";
import { Events } from "./events";
import { EventReader, ServerEvent } from "./sse";
import { Advice, Detail, HEARTBEAT_MS, HostEvent, Status, ToFeed, ToPage } from "./messages";
import { Past } from "./past";

const RETRY_LEAST_MS = 500;
const RETRY_MOST_MS = 30_000;
const SILENCE_MS = 15_000;
const GONE_MS = 3 * HEARTBEAT_MS;
const ADVICE_MS = 30_000;
const FINE_SECONDS = 300; // up to so many the feed's own memory will do

interface Port {
  postMessage(message: ToPage): void;
  visible: boolean;
  heardAt: number;
}

interface Refusal {
  code: string;
  message: string;
  remedy: string;
}

const ports = new Set<Port>();
const past = new Past();
const archive = new Archive((path) => ask(path, {}));
const events = new Events();
let watched = false;
let status: Status = { state: "connecting" };
let newest: Detail | undefined;
let newestJson = "";
let newestAt = 0;
let advice: Advice[] = [];
let noAdviceFrom = ""; // the run of the daemon that has no such route
let token = "";
let lastId = "";
let retryMs = 2000;
let failures = 0;
let running: AbortController | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

function tell(message: ToPage): void {
  for (const port of ports) if (port.visible) port.postMessage(message);
}

function setStatus(next: Status): void {
  status = next;
  tell({ kind: "status", status });
}

function detailMessage(): ToPage {
  return { kind: "detail", json: newestJson, ageMs: Date.now() - newestAt };
}

function ask(path: string, more: RequestInit): Promise<Response> {
  const headers: Record<string, string> = { ...(more.headers as Record<string, string>) };
  if (token) headers["Authorization"] = `Bearer ${token}`;
  return fetch(path, {
    cache: "no-store",
    redirect: "error",
    credentials: "omit",
    ...more,
    headers,
  });
}

function onEvent(event: ServerEvent): void {
  if (event.name !== "message") return; // "lag", "bye": the next id or the end says as much
  newest = JSON.parse(event.data) as Detail;
  newestJson = event.data;
  newestAt = Date.now();
  failures = 0;
  past.add(newest);
}

// Why the server refused, in its own words where it has any.
async function refusal(response: Response): Promise<Refusal> {
  const said: Refusal = { code: "", message: `HTTP status ${response.status}`, remedy: "" };
  try {
    const { error } = (await response.json()) as { error: Partial<Refusal> };
    return { ...said, ...error };
  } catch {
    return said; // no JSON: the status says what there is to say
  }
}

async function statusOf(response: Response): Promise<Status> {
  const { code, message, remedy } = await refusal(response);
  if (response.status === 401) return { state: "token-needed", reason: message };
  if (response.status === 503 && code !== "")
    return { state: "no-data", code, reason: message, remedy };
  return { state: "lost", reason: message, remedy, retryAt: 0 };
}

// A comment tells the reason; what to do about it is in the answer to a new question.
async function onComment(text: string): Promise<void> {
  const reason = /^no data \((.*)\)$/.exec(text)?.[1];
  if (!reason || (status.state === "no-data" && status.reason === reason)) return;
  setStatus({ state: "no-data", code: "", reason, remedy: "" });
  const asked = running;
  try {
    const response = await ask("/v1/detail", { signal: asked?.signal ?? null });
    if (response.status !== 503) return;
    const known = await statusOf(response);
    if (running === asked && status.state === "no-data") setStatus(known);
  } catch {
    // the stream itself will tell
  }
}

async function readBody(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader(onEvent, (text) => void onComment(text));
  const silenceMs = () => Math.max(SILENCE_MS, 3 * (newest?.interval_ms ?? 0));
  const onSilence = () => abort.abort(new Error("nothing has come for a while"));
  events.lastId = lastId;
  let silence = setTimeout(onSilence, silenceMs());
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(onSilence, silenceMs());
      const before = newest;
      events.feed(decoder.decode(value, { stream: true }));
      lastId = events.lastId;
      retryMs = Math.min(Math.max(events.retryMs ?? retryMs, RETRY_LEAST_MS), RETRY_MOST_MS);
      if (newest && newest !== before) onNewest(); // of a replay, the last alone
    }
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
}

function onNewest(): void {
  tell(detailMessage());
  if (newest?.events) takeEvents(newest.events);
  if (status.state === "live") return;
  setStatus({ state: "live" });
  archive.expire();
  if (newest?.events) void loadEvents();
}

function takeEvents(more: readonly HostEvent[]): void {
  if (events.add(more)) tell({ kind: "events", events: events.list() });
}

// Documents tell the newest alone. A replay has no such route: then they have to do.
async function loadEvents(): Promise<void> {
  try {
    const response = await ask("/v1/events", {});
    if (response.ok) takeEvents(((await response.json()) as { events: HostEvent[] }).events);
  } catch {
    // the stream itself will tell
  }
}

// One connection, from its request to its end: what to say of it then.
async function follow(abort: AbortController): Promise<Status> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  const lost = (reason: string): Status => ({ state: "lost", reason, remedy: "", retryAt: 0 });
  try {
    const response = await ask("/v1/detail/stream", { headers, signal: abort.signal });
    if (response.status !== 200 || !response.body) return await statusOf(response);
    await readBody(response.body, abort);
    return lost("the daemon ended the stream");
  } catch (error) {
    // fetch() and read() say no more than TypeError when a connection breaks.
    if (error instanceof TypeError) return lost("the daemon does not answer");
    if (error instanceof SyntaxError) return lost("what came is no document");
    return lost(error instanceof Error ? error.message : "the connection broke");
  }
}

async function start(): Promise<void> {
  clearTimeout(timer);
  if (running) return;
  const abort = new AbortController();
  running = abort;
  const end = await follow(abort);
  if (running !== abort) return; // stopped, and perhaps started again, meanwhile
  running = undefined;
  if (end.state === "token-needed") return setStatus(end);
  const wait = Math.min(retryMs * 2 ** failures, RETRY_MOST_MS) * (0.75 + Math.random() / 2);
  failures = Math.min(failures + 1, 8);
  setStatus(end.state === "lost" ? { ...end, retryAt: Date.now() + wait } : end);
  timer = setTimeout(() => void start(), wait);
}

function stop(): void {
  clearTimeout(timer);
  const abort = running;
  running = undefined;
  abort?.abort();
}

function begin(): void {
  stop();
  failures = 0;
  setStatus({ state: "connecting" });
  void start();
}

// Nobody looks: nobody is served. The daemon replays half a minute when somebody does again.
function onVisibility(): void {
  const before = watched;
  watched = [...ports].some((port) => port.visible);
  if (watched && !before) begin();
  else if (!watched && before) {
    stop();
    status = { state: "paused" };
  }
}

function takeToken(next: string): void {
  if (next === token && status.state !== "token-needed") return;
  token = next;
  if (watched) begin();
}

function onMessage(port: Port, message: ToFeed): void {
  port.heardAt = Date.now();
  ports.add(port); // it may have been taken for gone
  switch (message.kind) {
    case "visible": {
      const before = port.visible;
      port.visible = message.visible;
      onVisibility();
      if (!port.visible || before) break;
      port.postMessage({ kind: "status", status });
      port.postMessage({ kind: "advice", advice });
      port.postMessage({ kind: "events", events: events.list() });
      if (newest) port.postMessage(detailMessage());
      break;
    }
    case "token":
      takeToken(message.token);
      break;
    case "history":
      void answerHistory(port, message);
      break;
    case "retry":
      if (watched && status.state !== "live") begin();
      break;
    case "leave":
      port.visible = false;
      ports.delete(port);
      onVisibility();
  }
}

// At once with what is there, and again when the daemon has told what was before that.
async function answerHistory(port: Port, asked: Extract<ToFeed, { kind: "history" }>): Promise<void> {
  const { key, seconds } = asked;
  const answer = () =>
    port.postMessage({
      ...asked,
      history: past.read(key, seconds, newest?.unix_ms ?? 0, archive.read(key, seconds)),
    });
  answer();
  if (seconds > FINE_SECONDS && status.state === "live" && (await archive.load(key, seconds))) answer();
}

// A tab may end without a word.
function dropSilent(): void {
  for (const port of ports) {
    if (Date.now() - port.heardAt < GONE_MS) continue;
    port.visible = false;
    ports.delete(port);
  }
  onVisibility();
}

// A daemon without that route answers 404, and is not asked again.
async function refreshAdvice(): Promise<void> {
  if (status.state !== "live" || !newest || noAdviceFrom === newest.boot) return;
  const { boot } = newest;
  try {
    const response = await ask("/v1/advice", {});
    if (response.status === 404) noAdviceFrom = boot;
    advice = response.ok ? ((await response.json()) as { advice?: Advice[] }).advice ?? [] : [];
  } catch {
    advice = [];
  }
  tell({ kind: "advice", advice });
}

// What a SharedWorker's port and a Worker's own scope have in common.
interface Channel {
  postMessage(message: ToPage): void;
  onmessage: ((event: MessageEvent<ToFeed>) => void) | null;
}

function adopt(channel: Channel): void {
  const port: Port = {
    visible: false,
    heardAt: Date.now(),
    postMessage: (message) => channel.postMessage(message),
  };
  ports.add(port);
  channel.onmessage = (event) => onMessage(port, event.data);
}

setInterval(dropSilent, HEARTBEAT_MS);
setInterval(() => void refreshAdvice(), ADVICE_MS);
setTimeout(() => void refreshAdvice(), 3000);

const scope = self as unknown as Channel & {
  onconnect?: ((event: MessageEvent) => void) | null;
};
if ("onconnect" in scope) scope.onconnect = (event) => adopt(event.ports[0] as MessagePort);
else adopt(scope);
