// SPDX-License-Identifier: Apache-2.0
// What the feed remembers of each model: five minutes as they came, six hours as means of
// ten seconds. Fixed rings, so that a page open for a month holds what it held after six hours.

import { Detail, History, Model, TOTAL, keyOf } from "./messages";

const FINE = 600; // samples
const COARSE = 2160; // of COARSE_SECONDS each
const COARSE_SECONDS = 10;
const SERIES = 3;
const KEPT_MS = 6 * 3600 * 1000; // after a model was last seen
const MODELS_MAX = 128;

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

  // Appends what is not older than `since`, oldest first.
  read(since: number, until: number, to: History): void {
    for (let i = this.count; i > 0; i--) {
      const at = (this.next - i + this.room) % this.room;
      const time = this.times[at] as number;
      if (time < since || time >= until) continue;
      to.times.push(time);
      const known = (series: number) => {
        const value = this.values[at * SERIES + series] as number;
        return Number.isNaN(value) ? null : value;
      };
      to.allocated.push(known(0));
      to.kvUsed.push(known(1));
      to.hitPercent.push(known(2));
    }
  }

  oldest(): number {
    return this.count === 0 ? Infinity : (this.times[(this.next - this.count + this.room) % this.room] as number);
  }
}

class Track {
  seenMs = 0;
  private readonly fine = new Ring(FINE);
  private readonly coarse = new Ring(COARSE);
  private slot = 0;
  private readonly sums = new Float64Array(SERIES);
  private readonly counts = new Float64Array(SERIES);

  add(time: number, values: readonly number[]): void {
    const slot = Math.floor(time / COARSE_SECONDS);
    if (slot !== this.slot) this.endSlot(slot);
    this.fine.add(time, values);
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      this.sums[i] = (this.sums[i] as number) + value;
      this.counts[i] = (this.counts[i] as number) + 1;
    });
  }

  private endSlot(slot: number): void {
    if (this.slot > 0) {
      const means = [...this.sums].map((sum, i) => sum / (this.counts[i] as number)); // 0/0: NaN
      this.coarse.add(this.slot * COARSE_SECONDS, means);
    }
    this.slot = slot;
    this.sums.fill(0);
    this.counts.fill(0);
  }

  read(seconds: number, now: number): History {
    const history: History = { times: [], allocated: [], kvUsed: [], hitPercent: [] };
    const since = now - seconds;
    const fineFrom = seconds <= FINE / 2 ? -Infinity : Infinity;
    if (fineFrom === Infinity) this.coarse.read(since, Infinity, history);
    else this.fine.read(since, Infinity, history);
    return history;
  }
}

const orNaN = (value: number | null | undefined) => value ?? NaN;

export class Past {
  private readonly tracks = new Map<string, Track>();

  add(detail: Detail): void {
    const time = detail.unix_ms / 1000;
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

  read(key: string, seconds: number, nowMs: number): History | undefined {
    return this.tracks.get(key)?.read(seconds, nowMs / 1000);
  }
}
