// SPDX-License-Identifier: Apache-2.0
// What is known of one place that pages look at: of the host itself or the whole fleet, or of
// one node of a gateway. One stream of /v1/detail while somebody looks.

import { Archive } from "./archive";
import { Events } from "./events";
import { EventReader, ServerEvent } from "./sse";
import { Advice, Detail, HostEvent, Outage, Status, ToFeed, Told } from "./messages";
import { Past } from "./past";

const RETRY_LEAST_MS = 500;
const RETRY_MOST_MS = 30_000;
const SILENCE_MS = 15_000;
const EVENTS_MS = 10_000; // of a node, as its gateway tells them
const ASK_MS = 3000; // why a node has no figures changes by the second
const FINE_SECONDS = 300; // up to so many the feed's own memory will do

interface Refusal {
  code: string;
  message: string;
  remedy: string;
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

export class Source {
  watchedAt = 0; // by the clock of performance.now(): when somebody looked last
  private status: Status = { state: "connecting" };
  private readonly past = new Past();
  private readonly archive = new Archive((path) => this.ask(path));
  private readonly events = new Events();
  private readonly parameter: string;
  isWatched = false;
  private newest: Detail | undefined;
  private newestJson = "";
  private newestAt = 0;
  private eventsAt = 0;
  private advice: Advice[] = [];
  private noAdviceFrom = ""; // the run of the daemon that has no such route
  private lastId = "";
  private comment = ""; // why there is no data, as the stream said when we asked
  private askedAt = 0;
  private retryMs = 2000;
  private failures = 0;
  private running: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly node: string,
    private readonly token: () => string,
    private readonly tell: (message: Told) => void,
  ) {
    this.parameter = node === "" ? "" : `?node=${encodeURIComponent(node)}`;
  }

  private ask(path: string, more: RequestInit = {}): Promise<Response> {
    const headers: Record<string, string> = { ...(more.headers as Record<string, string>) };
    if (this.token()) headers["Authorization"] = `Bearer ${this.token()}`;
    return fetch(path, {
      cache: "no-store",
      redirect: "error",
      credentials: "omit",
      ...more,
      headers,
    });
  }

  private setStatus(next: Status): void {
    this.status = next;
    this.tell({ kind: "status", status: next });
  }

  private detailMessage(): Told {
    return { kind: "detail", json: this.newestJson, ageMs: Date.now() - this.newestAt };
  }

  // All that somebody who comes to look is told at first.
  greeting(): Told[] {
    return [
      { kind: "status", status: this.status },
      { kind: "advice", advice: this.advice },
      { kind: "events", events: this.events.list() },
      ...(this.newest ? [this.detailMessage()] : []),
    ];
  }

  private onEvent(event: ServerEvent): void {
    if (event.name !== "message") return; // "lag", "bye": the next id or the end says as much
    this.newest = JSON.parse(event.data) as Detail;
    this.newestJson = event.data;
    this.newestAt = Date.now();
    this.failures = 0;
    this.comment = "";
    this.askedAt = 0;
    this.past.add(this.newest);
  }

  private async statusOf(response: Response): Promise<Status> {
    const { code, message: reason, remedy } = await refusal(response);
    if (response.status === 401) return { state: "token-needed", reason };
    if (response.status === 503 && code !== "") {
      if (code === "no-nodes" || code === "nats-lost") this.failures = 0; // the first node may come at any time
      return { state: "no-data", code, reason, remedy };
    }
    if (this.node !== "" && code !== "" && [400, 404, 409].includes(response.status))
      return { state: "no-node", code, reason, remedy, retryAt: 0 };
    return { state: "lost", reason, remedy, retryAt: 0 };
  }

  // A comment tells the reason; what to do about it is in the answer to a new question.
  private async onComment(text: string): Promise<void> {
    const reason = /^no data \((.*)\)$/.exec(text)?.[1];
    const isKnown = this.status.state === "no-data" && this.comment === reason;
    if (!reason || isKnown) return;
    const before = this.status.state === "no-data" ? this.status : { code: "", reason: "", remedy: "" };
    if (before.reason !== reason) this.setStatus({ ...before, state: "no-data", reason });
    if (this.node !== "" && Date.now() - this.askedAt < ASK_MS) return;
    this.comment = reason;
    this.askedAt = Date.now();
    const asked = this.running;
    try {
      const response = await this.ask(`/v1/detail${this.parameter}`, { signal: asked?.signal ?? null });
      if (response.status !== 503) return;
      const known = await this.statusOf(response);
      if (this.running === asked && this.status.state === "no-data") this.setStatus(known);
    } catch {
      // the stream itself will tell
    }
  }

  private async readBody(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const events = new EventReader((event) => this.onEvent(event), (text) => void this.onComment(text));
    const silenceMs = () => Math.max(SILENCE_MS, 3 * (this.newest?.interval_ms ?? 0));
    const onSilence = () => abort.abort(new Error("nothing has come for a while"));
    events.lastId = this.lastId;
    let silence = setTimeout(onSilence, silenceMs());
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(onSilence, silenceMs());
        const before = this.newest;
        events.feed(decoder.decode(value, { stream: true }));
        this.lastId = events.lastId;
        this.retryMs = Math.min(Math.max(events.retryMs ?? this.retryMs, RETRY_LEAST_MS), RETRY_MOST_MS);
        if (this.newest !== before) this.onNewest(); // of a replay, the last alone
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  private onNewest(): void {
    this.tell(this.detailMessage());
    const told = this.newest?.events;
    if (told && this.node === "") this.takeEvents(told);
    if (this.newest?.outage) return this.onOutage(this.newest.outage);
    const isBack = this.status.state !== "live";
    if (isBack) {
      this.setStatus({ state: "live" });
      this.archive.expire();
    }
    // A node's own have other numbers than its gateway's, which has those of its loss, too.
    const isTime = this.node !== "" && Date.now() - this.eventsAt >= EVENTS_MS;
    if ((isBack && told) || isTime) void this.loadEvents();
  }

  // Its documents come all the same: of a fleet's nodes.
  private onOutage({ code, message: reason, remedy }: Outage): void {
    const next: Status = { state: "no-data", code, reason, remedy: remedy ?? "" };
    if (this.status.state !== "no-data" || this.status.code !== code || this.status.reason !== reason) this.setStatus(next);
  }

  private takeEvents(more: readonly HostEvent[]): void {
    if (this.events.add(more)) this.tell({ kind: "events", events: this.events.list() });
  }

  // Documents tell the newest alone. A replay has no such route: then they have to do.
  private async loadEvents(): Promise<void> {
    this.eventsAt = Date.now();
    try {
      const response = await this.ask(`/v1/events${this.parameter}`);
      if (response.ok) this.takeEvents(((await response.json()) as { events: HostEvent[] }).events);
    } catch {
      // the stream itself will tell
    }
  }

  // One connection, from its request to its end: what to say of it then.
  private async follow(abort: AbortController): Promise<Status> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    const lost = (reason: string): Status => ({ state: "lost", reason, remedy: "", retryAt: 0 });
    try {
      const response = await this.ask(`/v1/detail/stream${this.parameter}`, { headers, signal: abort.signal });
      if (response.status !== 200 || !response.body) return await this.statusOf(response);
      await this.readBody(response.body, abort);
      return lost("the daemon ended the stream");
    } catch (error) {
      // fetch() and read() say no more than TypeError when a connection breaks.
      if (error instanceof TypeError) return lost("the daemon does not answer");
      if (error instanceof SyntaxError) return lost("what came is no document");
      return lost(error instanceof Error ? error.message : "the connection broke");
    }
  }

  private async start(): Promise<void> {
    clearTimeout(this.timer);
    if (this.running) return;
    const abort = new AbortController();
    this.running = abort;
    const end = await this.follow(abort);
    if (this.running !== abort) return; // stopped, and perhaps started again, meanwhile
    this.running = undefined;
    if (end.state === "token-needed") return this.setStatus(end);
    const wait = Math.min(this.retryMs * 2 ** this.failures, RETRY_MOST_MS) * (0.75 + Math.random() / 2);
    this.failures = Math.min(this.failures + 1, 8);
    this.setStatus("retryAt" in end ? { ...end, retryAt: Date.now() + wait } : end);
    this.timer = setTimeout(() => void this.start(), wait);
  }

  private stop(): void {
    clearTimeout(this.timer);
    const abort = this.running;
    this.running = undefined;
    abort?.abort();
  }

  private begin(): void {
    this.stop();
    this.failures = 0;
    this.setStatus({ state: "connecting" });
    void this.start();
  }

  // Nobody looks: nobody is served. The daemon replays half a minute when somebody does again.
  // `why`: what keeps one who looks from being served.
  watch(isWatched: boolean, why?: Status): void {
    const before = this.isWatched;
    this.isWatched = isWatched;
    if (isWatched || before) this.watchedAt = performance.now();
    if (isWatched && !before) this.begin();
    else if (!isWatched && before) {
      this.stop();
      this.status = { state: "paused" };
    }
    if (why && this.status.state !== why.state) this.setStatus(why);
  }

  onToken(isOther: boolean): void {
    if (this.isWatched && (isOther || this.status.state === "token-needed")) this.begin();
  }

  retry(): void {
    if (this.isWatched && this.status.state !== "live") this.begin();
  }

  // At once with what is there, and again when the daemon has told what was before that. Of
  // its nodes a gateway keeps no past.
  async answerHistory(asked: Extract<ToFeed, { kind: "history" }>, answer: (message: Told) => void): Promise<void> {
    const { key, seconds } = asked;
    const tell = () =>
      answer({
        ...asked,
        history: this.past.read(key, seconds, this.newest?.unix_ms ?? 0, this.archive.read(key, seconds)),
      });
    tell();
    if (this.node !== "" || seconds <= FINE_SECONDS || this.status.state !== "live") return;
    if (await this.archive.load(key, seconds)) tell();
  }

  // A daemon without that route answers 404, and is not asked again; a gateway has none.
  async refreshAdvice(): Promise<void> {
    if (this.status.state !== "live" || !this.newest || this.newest.fleet || this.node !== "") return;
    const { boot } = this.newest;
    if (this.noAdviceFrom === boot) return;
    try {
      const response = await this.ask("/v1/advice");
      if (response.status === 404) this.noAdviceFrom = boot;
      this.advice = response.ok ? ((await response.json()) as { advice?: Advice[] }).advice ?? [] : [];
    } catch {
      this.advice = [];
    }
    this.tell({ kind: "advice", advice: this.advice });
  }
}
