// SPDX-License-Identifier: Apache-2.0
// The streams of a browser, whatever the number of its tabs: one for each place that is
// looked at. A SharedWorker, or, where there is none, a Worker of one page.

import { HEARTBEAT_MS, Status, ToFeed, ToPage, Told } from "./messages";
import { Source } from "./source";

const GONE_MS = 3 * HEARTBEAT_MS;
const ADVICE_MS = 30_000;
// A browser has six connections with a server over HTTP/1.1: two are left for questions.
const STREAMS_MOST = 4;
const SOURCES_MOST = 8; // of which some are remembered for who comes back

interface Port {
  postMessage(message: ToPage): void;
  visible: boolean;
  node: string;
  heardAt: number;
}

const TOO_MANY: Status = {
  state: "no-node",
  code: "too-many-streams",
  reason: `tabs of this browser look at ${STREAMS_MOST} others already`,
  remedy: "Close one of them, or let it show the fleet",
  retryAt: 0,
};

const ports = new Set<Port>();
const sources = new Map<string, Source>(); // in the order in which they were first looked at
let token = "";

function sourceOf(node: string): Source {
  let source = sources.get(node);
  if (!source) {
    source = new Source(node, () => token, (message) => tell(node, message));
    sources.set(node, source);
  }
  return source;
}

function tell(node: string, message: Told): void {
  for (const port of ports) if (port.visible && port.node === node) port.postMessage({ ...message, node });
}

// Who is looked at has a stream, as far as they go, first those that have one already; who is
// not has none.
function onVisibility(): void {
  const nodes = new Set<string>();
  for (const port of ports) if (port.visible) nodes.add(port.node);
  for (const [node, source] of sources) if (!nodes.has(node)) source.watch(false);
  const watched = [...sources.values()].filter(({ node }) => nodes.has(node));
  watched.sort((a, b) => Number(b.isWatched) - Number(a.isWatched));
  watched.forEach((source, i) => source.watch(i < STREAMS_MOST, i < STREAMS_MOST ? undefined : TOO_MANY));
  dropForgotten(nodes);
}

function dropForgotten(watched: ReadonlySet<string>): void {
  const idle = [...sources.values()].filter(({ node }) => node !== "" && !watched.has(node));
  idle.sort((a, b) => a.watchedAt - b.watchedAt);
  for (const { node } of idle.slice(0, Math.max(sources.size - SOURCES_MOST, 0))) sources.delete(node);
}

function takeToken(next: string): void {
  const isOther = next !== token;
  token = next;
  for (const source of sources.values()) source.onToken(isOther);
}

function onVisible(port: Port, message: Extract<ToFeed, { kind: "visible" }>): void {
  const isNew = message.visible && (!port.visible || port.node !== message.node);
  port.visible = message.visible;
  port.node = message.node;
  const source = sourceOf(port.node);
  onVisibility();
  if (isNew) for (const told of source.greeting()) port.postMessage({ ...told, node: port.node });
}

function onMessage(port: Port, message: ToFeed): void {
  port.heardAt = Date.now();
  ports.add(port); // it may have been taken for gone
  switch (message.kind) {
    case "visible":
      onVisible(port, message);
      break;
    case "token":
      takeToken(message.token);
      break;
    case "history": {
      const { node } = port;
      void sourceOf(node).answerHistory(message, (told) => port.postMessage({ ...told, node }));
      break;
    }
    case "retry":
      sourceOf(port.node).retry();
      break;
    case "leave":
      port.visible = false;
      ports.delete(port);
      onVisibility();
  }
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

function refreshAdvice(): void {
  void sources.get("")?.refreshAdvice();
}

// What a SharedWorker's port and a Worker's own scope have in common.
interface Channel {
  postMessage(message: ToPage): void;
  onmessage: ((event: MessageEvent<ToFeed>) => void) | null;
}

function adopt(channel: Channel): void {
  const port: Port = {
    visible: false,
    node: "",
    heardAt: Date.now(),
    postMessage: (message) => channel.postMessage(message),
  };
  ports.add(port);
  channel.onmessage = (event) => onMessage(port, event.data);
}

setInterval(dropSilent, HEARTBEAT_MS);
setInterval(refreshAdvice, ADVICE_MS);
setTimeout(refreshAdvice, 3000);

const scope = self as unknown as Channel & {
  onconnect?: ((event: MessageEvent) => void) | null;
};
if ("onconnect" in scope) scope.onconnect = (event) => adopt(event.ports[0] as MessagePort);
else adopt(scope);
