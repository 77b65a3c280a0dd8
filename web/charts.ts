// SPDX-License-Identifier: Apache-2.0
// The past of one model, or of all: three charts over the same time.

import uPlot from "uplot";
import { RANGES, Range } from "./address";
import { byId, element, setAttribute, setText } from "./dom";
import { History } from "./messages";
import { GIB, UNKNOWN, count, shortCount } from "./words";

const HEIGHT = 132;
const FINE_MS = 2000;
const COARSE_MS = 10_000;
const TIME_STEPS = [60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600]; // seconds between labels

export interface Tops {
  allocated: number | null; // bytes
  kvUsed: number | null;
}

interface Kind {
  key: "allocated" | "kvUsed" | "hitPercent";
  name: string;
  unit: string;
  color: string; // of the style sheet
  scale: number;
}

const KINDS: Kind[] = [
  { key: "kvUsed", name: "KV cache used", unit: "GiB", color: "--kv", scale: GIB },
  { key: "allocated", name: "VRAM allocated", unit: "GiB", color: "--weights", scale: GIB },
  { key: "hitPercent", name: "Prefix cache hits", unit: "%", color: "--hits", scale: 1 },
];

function styleOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A round number that is not less.
function roundUp(value: number): number {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return (([1, 2, 4, 5, 8, 10].find((step) => step * unit >= value) ?? 10) as number) * unit;
}

class Chart {
  readonly root: HTMLElement;
  private readonly now = element("b", { class: "numbers" });
  private readonly frame = element("div", { class: "plot", role: "img" });
  private plot: uPlot | undefined;
  private last = UNKNOWN;
  private top = 1;
  private from = 0;
  private until = 1;
  private width = 0;

  constructor(private readonly kind: Kind) {
    const head = element("h3", {}, element("span", {}, kind.name), this.now);
    this.root = element("figure", { class: "chart", "data-chart": kind.key }, head, this.frame);
    setAttribute(this.frame, "aria-label", this.label([]));
    // Asking for the width when there is data would lay out the page once more each time.
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry?.contentRect.width ?? 0);
      if (this.width > 0) this.plot?.setSize({ width: this.width, height: HEIGHT });
    }).observe(this.frame);
  }

  private text(value: number | null | undefined): string {
    return value === null || value === undefined ? UNKNOWN : `${value < 10_000 ? value.toFixed(1) : count(Math.round(value))} ${this.kind.unit}`;
  }

  private options(width: number): uPlot.Options {
    const color = styleOf(this.kind.color);
    const axis: uPlot.Axis = {
      stroke: styleOf("--quiet"),
      font: `11px ${styleOf("--font")}`,
      grid: { stroke: styleOf("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width,
      height: HEIGHT,
      padding: [6, 18, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        sync: { key: "past" },
        points: { size: 7, fill: color },
      },
      scales: {
        x: { time: true, range: () => [this.from, this.until] },
        y: { range: () => [0, this.top] },
      },
      axes: [
        { ...axis, size: 24, gap: 4, space: 48, incrs: TIME_STEPS, values: (_, ticks) => ticks.map(timeText) },
        { ...axis, size: 40, gap: 4, space: 30, values: (_, ticks) => ticks.map(shortText) },
      ],
      series: [
        {},
        { stroke: color, width: 1.75, fill: `${color}24`, spanGaps: false, points: { show: false } },
      ],
      hooks: { setCursor: [(plot) => this.onCursor(plot)] },
    };
  }

  private onCursor(plot: uPlot): void {
    const { idx } = plot.cursor;
    const value = idx === null || idx === undefined ? undefined : plot.data[1]?.[idx];
    const time = idx === null || idx === undefined ? undefined : plot.data[0]?.[idx];
    setText(this.now, time === undefined ? this.last : `${clockText(time)}  ${this.text(value)}`);
  }

  draw(history: History, seconds: number, untilSeconds: number, topBytes: number | null): void {
    const values = history[this.kind.key].map((value) => (value === null ? null : value / this.kind.scale));
    const known = values.filter((value) => value !== null);
    const most = known.reduce((a, b) => Math.max(a, b), 0);
    this.until = untilSeconds;
    this.from = untilSeconds - seconds;
    this.top = this.kind.unit === "%" ? 100 : Math.max((topBytes ?? 0) / GIB, 0) || roundUp(most);
    if (most > this.top) this.top = roundUp(most);
    this.last = this.text(values.at(-1));
    const data: uPlot.AlignedData = [history.times, values];
    if (this.width <= 0) return;
    if (this.plot) this.plot.setData(data, true);
    else this.plot = new uPlot(this.options(this.width), data, this.frame);
    if (!this.plot.cursor.left || this.plot.cursor.left < 0) setText(this.now, this.last);
    setAttribute(this.frame, "data-points", String(known.length));
    setAttribute(this.frame, "aria-label", this.label(known));
  }

  private label(known: readonly number[]): string {
    if (known.length === 0) return `${this.kind.name}: nothing is known of this time`;
    const least = known.reduce((a, b) => Math.min(a, b), Infinity);
    const most = known.reduce((a, b) => Math.max(a, b), -Infinity);
    return `${this.kind.name}: ${this.last} at last, between ${this.text(least)} and ${this.text(most)}`;
  }

  forget(): void {
    this.plot?.destroy();
    this.plot = undefined;
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const timeText = (seconds: number) => clock.format(seconds * 1000);
const clockText = (seconds: number) => exactClock.format(seconds * 1000);
const shortText = (value: number) => (value >= 10_000 ? shortCount(value, 0) : Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(1));

export class Charts {
  private readonly charts = KINDS.map((kind) => new Chart(kind));
  private visible = false;
  private askedAt = 0;
  private asked = "";

  constructor(private readonly ask: (key: string, seconds: number) => void) {
    byId("charts").append(...this.charts.map((chart) => chart.root));
    new IntersectionObserver((entries) => {
      this.visible = entries.some((entry) => entry.isIntersecting);
    }).observe(byId("charts-section"));
  }

  // Ask for what is to be drawn, if it is time.
  tick(key: string, range: Range): void {
    const seconds = RANGES[range];
    const what = `${key} ${range}`;
    const now = performance.now();
    const pause = range === "5m" ? FINE_MS : COARSE_MS;
    if (!this.visible || (what === this.asked && now - this.askedAt < pause - 100)) return;
    this.asked = what;
    this.askedAt = now;
    this.ask(key, seconds);
  }

  // Drawn again at the next tick, for another width or in other colors.
  refresh(forget = false): void {
    if (forget) for (const chart of this.charts) chart.forget();
    this.asked = "";
  }

  draw(history: History, seconds: number, untilSeconds: number, tops: Tops): void {
    const of = { allocated: tops.allocated, kvUsed: tops.kvUsed, hitPercent: null };
    KINDS.forEach(({ key }, i) => this.charts[i]?.draw(history, seconds, untilSeconds, of[key]));
  }
}
