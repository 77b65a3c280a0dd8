// SPDX-License-Identifier: Apache-2.0
// What the feed remembers of each model: five minutes as they came, six hours as means of
// ten seconds. Fixed rings, so that a page open for a month holds what it held after six hours.

import { Detail, History, Model, TOTAL, keyOf } from "./messages";

const FINE = 660; // samples, at least FINE_SECONDS apart: five minutes and a little
const FINE_SECONDS = 0.45;
const COARSE = 2160; // of COARSE_SECONDS each
const COARSE_SECONDS = 10;
const SERIES = 3;
const KEPT_MS = 6 * 3600 * 1000; // after a model was last seen
const MODELS_MAX = 128;
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

// Where nothing was seen for longer than `gap` seconds the line is broken.
class HistoryWriter {
  readonly history: History = { times: [], allocated: [], kvUsed: [], hitPercent: [] };

  constructor(private readonly gap: number) {}

  add = (time: number, values: ArrayLike<number>): void => {
    const before = this.history.times.at(-1);
    if (before !== undefined && time - before > this.gap)
      this.push((before + time) / 2, [NaN, NaN, NaN]);
    this.push(time, values);
  };

  private push(time: number, values: ArrayLike<number>): void {
    const known = (i: number) => (Number.isNaN(values[i]) ? null : (values[i] as number));
    this.history.times.push(time);
    this.history.allocated.push(known(0));
    this.history.kvUsed.push(known(1));
    this.history.hitPercent.push(known(2));
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

  read(seconds: number, now: number, intervalMs: number): History {
    const isFine = seconds <= FINE * FINE_SECONDS + 10;
    const least = (3 * intervalMs) / 1000;
    const writer = new HistoryWriter(Math.max(least, isFine ? 3 : 3 * COARSE_SECONDS));
    (isFine ? this.fine : this.coarse).read(now - seconds, writer.add);
    // The slot that is not over yet, so that a long range begins at once.
    if (!isFine && this.newest >= now - seconds) writer.add(this.newest, this.means());
    return writer.history;
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
    this.track(TOTAL, detail.unix_ms).add(time, [
      orNaN(detail.vram.allocated_bytes.value),
      orNaN(detail.kv_cache.used_bytes),
      orNaN(detail.prefix_cache.hit_percent),
    ]);
    for (const model of detail.models) this.addModel(model, detail.unix_ms);
    for (const [key, track] of this.tracks)
      if (detail.unix_ms - track.seenMs > KEPT_MS) this.tracks.delete(key);
  }

  private addModel(model: Model, unixMs: number): void {
    this.track(keyOf(model), unixMs).add(unixMs / 1000, [
      orNaN(model.vram.allocated_bytes.value),
      orNaN(model.kv_cache.used_bytes.value),
      orNaN(model.prefix_cache.minute.hit_percent),
    ]);
  }

  private track(key: string, unixMs: number): Track {
    let track = this.tracks.get(key);
    if (!track) {
      if (this.tracks.size >= MODELS_MAX) this.dropOldest();
      track = new Track();
      this.tracks.set(key, track);
    }
    track.seenMs = unixMs;
    return track;
  }

  private dropOldest(): void {
    const [oldest] = [...this.tracks].sort((a, b) => a[1].seenMs - b[1].seenMs);
    if (oldest) this.tracks.delete(oldest[0]);
  }

  read(key: string, seconds: number, nowMs: number): History {
    const track = this.tracks.get(key);
    return (
      track?.read(seconds, nowMs / 1000, this.intervalMs) ??
      new HistoryWriter(Infinity).history
    );
  }
}
