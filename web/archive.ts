// SPDX-License-Identifier: Apache-2.0
// What the daemon remembers of the past (GET /v1/history), asked for once for each range and
// model that is looked at; what comes after is the feed's own to remember.

import { History, TOTAL } from "./messages";

const POINTS_MOST = 600;
const STEPS = [10, 60, 180, 600]; // seconds
const STALE_MS = 3600_000; // the feed remembers six hours: long before those are over
const AGAIN_MS = 60_000; // after a failure

const COLUMNS = ["unix_ms", "allocated_vram_bytes_avg", "used_kv_cache_bytes_avg", "prefix_cache_hit_rate_avg"];

interface Answer {
  to_ms: number;
  step_ms: number;
  columns: string[];
  series: { model_id: string | null; port: number | null; points: (number | null)[][] }[];
}

export interface Before {
  history: History;
  until: number; // unix seconds
  step: number;
}

interface Loaded {
  at: number;
  before: Before | undefined; // undefined: there was no answer, or none of this model
}

export function stepOf(seconds: number): number {
  return STEPS.find((step) => seconds / step <= POINTS_MOST) ?? Math.ceil(seconds / POINTS_MOST);
}

// The daemon's name of what a key is of; "": the host.
export function modelParameter(key: string): string {
  return key === TOTAL ? "" : `&model=${encodeURIComponent(key.slice(0, key.lastIndexOf(":")))}`;
}

// A point is of the step that begins with it: it stands in the middle of that.
function historyOf(answer: Answer, points: readonly (number | null)[][]): History {
  const [time, allocated, used, hits] = COLUMNS.map((name) => answer.columns.indexOf(name)) as [number, number, number, number];
  const history: History = { times: [], allocated: [], kvUsed: [], hitPercent: [] };
  for (const point of points) {
    const begin = point[time];
    if (typeof begin !== "number") continue;
    history.times.push(Math.min(begin + answer.step_ms / 2, answer.to_ms) / 1000);
    history.allocated.push(point[allocated] ?? null);
    history.kvUsed.push(point[used] ?? null);
    history.hitPercent.push(point[hits] ?? null);
  }
  return history;
}

export class Archive {
  private readonly loaded = new Map<string, Loaded>();
  private run = 0; // what is asked for before expire() is of no use after it

  private isAbsent = false; // a daemon of an older version has no such route

  constructor(private readonly ask: (path: string) => Promise<Response>) {}

  // The feed may have missed something since: what is here will do until there is better.
  expire(): void {
    for (const loaded of this.loaded.values()) loaded.at = -Infinity;
    this.run++;
    this.isAbsent = false;
  }

  read(key: string, seconds: number): Before | undefined {
    return this.loaded.get(`${seconds} ${key}`)?.before;
  }

  // Whether something has come that was not there.
  async load(key: string, seconds: number): Promise<boolean> {
    const known = this.loaded.get(`${seconds} ${key}`);
    if (this.isAbsent) return false;
    if (known && Date.now() - known.at < (known.before ? STALE_MS : AGAIN_MS)) return false;
    const { run } = this;
    this.loaded.set(`${seconds} ${key}`, { at: Date.now(), before: known?.before });
    try {
      const response = await this.ask(`/v1/history?from=-${seconds}s&step=${stepOf(seconds)}s${modelParameter(key)}`);
      this.isAbsent = response.status === 404;
      if (!response.ok) return false;
      const answer = (await response.json()) as Answer;
      if (run === this.run) this.take(answer, seconds);
      return run === this.run;
    } catch {
      return false; // what the feed remembers has to do
    }
  }

  // Of the host come all its models, too.
  private take(answer: Answer, seconds: number): void {
    for (const { model_id, port, points } of answer.series) {
      const key = model_id === null ? TOTAL : `${model_id}:${port ?? 0}`;
      const before = { history: historyOf(answer, points), until: answer.to_ms / 1000, step: answer.step_ms / 1000 };
      this.loaded.set(`${seconds} ${key}`, { at: Date.now(), before });
    }
  }
}
