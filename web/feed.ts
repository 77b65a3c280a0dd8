// SPDX-License-Identifier: Apache-2.0
// The one stream of a browser, whatever the number of its tabs: a SharedWorker, or, where
// there is none, a Worker of one page. It reads /v1/detail/stream while a page is looked at.

import { EventReader, ServerEvent } from "./sse";
import { Detail, Status, ToFeed, ToPage } from "./messages";
import { Past } from "./past";

const RETRY_LEAST_MS = 500;
const RETRY_MOST_MS = 30_000;
const SILENCE_MS = 15_000;

interface Port {
  postMessage(message: ToPage): void;
  visible: boolean;
}

const ports = new Set<Port>();
const past = new Past();
let status: Status = { state: "connecting" };
let newest: Detail | undefined;
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

function onEvent(event: ServerEvent): void {
  if (event.name === "message") {
    newest = JSON.parse(event.data) as Detail;
    past.add(newest);
    failures = 0;
    if (status.state !== "live") setStatus({ state: "live" });
    tell({ kind: "detail", detail: newest });
  }
}

function onComment(text: string): void {
  const reason = /^no data \((.*)\)$/.exec(text)?.[1];
  if (reason) setStatus({ state: "no-data", reason, remedy: "" });
}

// Why the server refused, in its own words where it has any.
async function refusal(response: Response): Promise<Status> {
  let message = `HTTP status ${response.status}`;
  let remedy = "";
  try {
    const { error } = (await response.json()) as { error: { message?: string; remedy?: string } };
    message = error.message ?? message;
    remedy = error.remedy ?? "";
  } catch {
    // no JSON: the status says what there is to say
  }
  if (response.status === 401) return { state: "token-needed", reason: message };
  if (response.status === 503) return { state: "no-data", reason: message, remedy };
  return { state: "lost", reason: message, retryAt: 0 };
}

async function readBody(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader(onEvent, onComment);
  events.lastId = lastId;
  let silence: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      silence = setTimeout(() => abort.abort(), Math.max(SILENCE_MS, 3 * (newest?.interval_ms ?? 0)));
      const { done, value } = await reader.read();
      clearTimeout(silence);
      if (done) return;
      events.feed(decoder.decode(value, { stream: true }));
      lastId = events.lastId;
      retryMs = Math.min(Math.max(events.retryMs ?? retryMs, RETRY_LEAST_MS), RETRY_MOST_MS);
    }
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
}

// One connection, from its request to its end: what to say of it then.
async function follow(abort: AbortController): Promise<Status> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  if (token) headers["Authorization"] = `Bearer ${token}`;
  try {
    const response = await fetch("/v1/detail/stream", {
      headers,
      cache: "no-store",
      redirect: "error",
      credentials: "omit",
      signal: abort.signal,
    });
    if (response.status !== 200 || !response.body) return await refusal(response);
    await readBody(response.body, abort);
    return { state: "lost", reason: "the daemon ended the stream", retryAt: 0 };
  } catch {
    return { state: "lost", reason: "the daemon does not answer", retryAt: 0 };
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

// Nobody looks: nobody is served. The daemon replays half a minute when somebody does again.
function onVisibility(): void {
  const watched = [...ports].some((port) => port.visible);
  if (watched && !running) {
    failures = 0;
    setStatus({ state: "connecting" });
    void start();
  } else if (!watched && (running || status.state !== "paused")) {
    stop();
    status = { state: "paused" };
  }
}

function onMessage(port: Port, message: ToFeed): void {
  switch (message.kind) {
    case "visible":
      port.visible = message.visible;
      onVisibility();
      if (port.visible) {
        port.postMessage({ kind: "status", status });
        if (newest) port.postMessage({ kind: "detail", detail: newest });
      }
      break;
    case "token":
      token = message.token;
      stop();
      onVisibility();
      break;
    case "history": {
      const history = past.read(message.key, message.seconds, newest?.unix_ms ?? 0);
      if (history) port.postMessage({ ...message, history });
      break;
    }
    case "leave":
      ports.delete(port);
      onVisibility();
  }
}

function adopt(channel: MessagePort | DedicatedWorkerGlobalScope): void {
  const port: Port = { visible: false, postMessage: (message) => channel.postMessage(message) };
  ports.add(port);
  channel.onmessage = (event: MessageEvent) => onMessage(port, event.data as ToFeed);
}

const scope = self as unknown as SharedWorkerGlobalScope & DedicatedWorkerGlobalScope;
if ("onconnect" in scope) scope.onconnect = (event) => adopt(event.ports[0] as MessagePort);
else adopt(scope);
