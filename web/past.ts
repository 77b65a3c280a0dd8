// SPDX-License-Identifier: Apache-2.0
// What the feed remembers of each model: five minutes as they came, six hours as means of
// ten seconds. Fixed rings, so that a page open for a month holds what it held after six hours.
// What was before is the daemon's to tell (archive.ts), if it does.

import { Before } from "./archive";
import { Detail, History, Model, TOTAL, keyOf } from "./messages";

const FINE = 660; // samples, at least FINE_SECONDS apart: five minutes and a little
const FINE_SECONDS = 0.45;
const COARSE = 2160; // of COARSE_SECONDS each
const COARSE_SECONDS = 10;
const SERIES = 3;
const KEPT_MS = 6 * 3600 * 1000; // after a model was last seen
const MODELS_MAX = 128;
const GONE_MS = 10_000; // a model not seen for so long makes room for another
const STEP_BACK_SECONDS = 10; // of the clock: what was before it cannot be placed

class Ring {
  private readonly times: Float64Array;
  private readonly values: Float64Array; // NaN: not known
  private next = 0;
  private count = 0;

  constructor(private readonly room: number) {
    this.times = new Float64Array(room);
    this.values = new Float64Array(room * SERIES);
  }

  add(time: number, values: readonly number[]): void {
    this.times[this.next] = time;
    this.values.set(values, this.next * SERIES);
    this.next = (this.next + 1) % this.room;
    this.count = Math.min(this.count + 1, this.room);
  }

  // Gives what is not older than `since`, oldest first.
  read(since: number, take: (time: number, values: ArrayLike<number>) => void): void {
    for (let i = this.count; i > 0; i--) {
      const at = (this.next - i + this.room) % this.room;
      const time = this.times[at] as number;
      if (time >= since) take(time, this.values.subarray(at * SERIES, (at + 1) * SERIES));
    }
  }
}

const known = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? null : value);

// Where nothing was seen for longer than `gap` seconds the line is broken.
class HistoryWriter {
  readonly history: History = { times: [], allocated: [], kvUsed: [], hitPercent: [] };

  constructor(private readonly gap: number) {}

  add = (time: number, values: ArrayLike<number>): void => {
    this.put(time, known(values[0]), known(values[1]), known(values[2]));
  };

  // What the daemon remembers, from `since` on.
  copy({ times, allocated, kvUsed, hitPercent }: History, since: number): void {
    times.forEach((time, i) => {
      if (time >= since) this.put(time, allocated[i] ?? null, kvUsed[i] ?? null, hitPercent[i] ?? null);
    });
  }

  private put(time: number, ...values: [number | null, number | null, number | null]): void {
    const before = this.history.times.at(-1);
    if (before !== undefined && time - before > this.gap) this.push((before + time) / 2, [null, null, null]);
    this.push(time, values);
  }

  private push(time: number, [allocated, used, hits]: (number | null)[]): void {
    this.history.times.push(time);
    this.history.allocated.push(allocated ?? null);
    this.history.kvUsed.push(used ?? null);
    this.history.hitPercent.push(hits ?? null);
  }
}

class Track {
  seenMs = 0;
  private readonly fine = new Ring(FINE);
  private readonly coarse = new Ring(COARSE);
  private slot = 0;
  private newest = -Infinity;
  private readonly sums = new Float64Array(SERIES);
  private readonly counts = new Float64Array(SERIES);

  add(time: number, values: readonly number[]): void {
    if (time - this.newest < FINE_SECONDS) return;
    this.newest = time;
    const slot = Math.floor(time / COARSE_SECONDS);
    if (slot !== this.slot) this.endSlot(slot);
    this.fine.add(time, values);
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      this.sums[i] = (this.sums[i] as number) + value;
      this.counts[i] = (this.counts[i] as number) + 1;
    });
  }

  private means(): number[] {
    return [...this.sums].map((sum, i) => sum / (this.counts[i] as number)); // 0/0: NaN
  }

  private endSlot(slot: number): void {
    if (this.slot > 0) this.coarse.add((this.slot + 0.5) * COARSE_SECONDS, this.means());
    this.slot = slot;
    this.sums.fill(0);
    this.counts.fill(0);
  }

  read(since: number, isFine: boolean, writer: HistoryWriter): void {
    (isFine ? this.fine : this.coarse).read(since, writer.add);
    // The slot that is not over yet, so that a long range begins at once.
    if (!isFine && this.newest >= since) writer.add(this.newest, this.means());
  }
}

const orNaN = (value: number | null | undefined) => value ?? NaN;

export class Past {
  private readonly tracks = new Map<string, Track>();
  private newest = 0;
  private intervalMs = 500;

  add(detail: Detail): void {
    const time = detail.unix_ms / 1000;
    if (time < this.newest - STEP_BACK_SECONDS) this.tracks.clear();
    this.newest = time;
    this.intervalMs = detail.interval_ms;
    this.track(TOTAL, detail.unix_ms)?.add(time, [
      orNaN(detail.vram.allocated_bytes.value),
      orNaN(detail.kv_cache.used_bytes),
      orNaN(detail.prefix_cache.hit_percent),
    ]);
    for (const model of detail.models) this.addModel(model, detail.unix_ms);
    for (const [key, track] of this.tracks)
      if (detail.unix_ms - track.seenMs > KEPT_MS) this.tracks.delete(key);
  }

  private addModel(model: Model, unixMs: number): void {
    this.track(keyOf(model), unixMs)?.add(unixMs / 1000, [
      orNaN(model.vram.allocated_bytes.value),
      orNaN(model.kv_cache.used_bytes.value),
      orNaN(model.prefix_cache.minute.hit_percent),
    ]);
  }

  // undefined: there are too many models to remember this one.
  private track(key: string, unixMs: number): Track | undefined {
    let track = this.tracks.get(key);
    if (!track) {
      if (this.tracks.size >= MODELS_MAX && !this.dropGone(unixMs)) return undefined;
      track = new Track();
      this.tracks.set(key, track);
    }
    track.seenMs = unixMs;
    return track;
  }

  private dropGone(unixMs: number): boolean {
    const gone = [...this.tracks].find(([, { seenMs }]) => unixMs - seenMs > GONE_MS);
    return gone !== undefined && this.tracks.delete(gone[0]);
  }

  // `before`: what the daemon remembers, up to where this goes on.
  read(key: string, seconds: number, nowMs: number, before: Before | undefined): History {
    const since = nowMs / 1000 - seconds;
    const isFine = seconds <= FINE * FINE_SECONDS + 10;
    const step = Math.max(before?.step ?? 0, this.intervalMs / 1000, isFine ? 1 : COARSE_SECONDS);
    const writer = new HistoryWriter(3 * step);
    if (before) writer.copy(before.history, since);
    this.tracks.get(key)?.read(Math.max(since, before?.until ?? 0), isFine, writer);
    return writer.history;
  }
}
