// SPDX-License-Identifier: Apache-2.0
// A bar per device: what of its memory is whose.

import { figureEntry, showAbout } from "./about";
import { Keyed, byId, element, setAttribute, setHidden, setText } from "./dom";
import { Detail, Device, Figure } from "./messages";
import { UNKNOWN, exactBytes, figureHint, figureText, gib } from "./words";

const STEP = 0.2; // percent of a bar: less is not seen

interface Part {
  kind: string; // of the style sheet
  name: string;
  figure: Figure;
}

function measured(value: number): Figure {
  return { value, from: "measured", error: 0, reason: null };
}

// What is left of `whole`, known as well as the part is.
function restOf(whole: number, part: Figure): Figure {
  return part.value === null ? part : { ...part, value: Math.max(whole - part.value, 0) };
}

function modelParts(device: Device): Part[] {
  const models = device.models_bytes ?? 0;
  const pool = device.kv_pool_bytes;
  const used = device.kv_used_bytes;
  if (!pool || pool.value === null)
    return [{ kind: "weights", name: "Models, KV cache and all", figure: measured(models) }];
  const parts = [{ kind: "weights", name: "Weights and rest", figure: restOf(models, pool) }];
  if (!used || used.value === null)
    return [...parts, { kind: "kv-free", name: "KV cache", figure: pool }];
  return [
    ...parts,
    { kind: "kv-used", name: "KV used", figure: used },
    { kind: "kv-free", name: "KV reserved, free", figure: { ...used, value: Math.max(pool.value - used.value, 0) } },
  ];
}

export function freeBytes(device: Device): number | null {
  if (device.total_bytes === null || device.used_bytes === null) return null;
  return Math.max(device.total_bytes - device.used_bytes - (device.reserved_bytes ?? 0), 0);
}

export function partsOf(device: Device): Part[] {
  const free = freeBytes(device);
  if (device.used_bytes === null || free === null) return [];
  const parts: Part[] = [];
  if (device.models_bytes === undefined) {
    parts.push({ kind: "used", name: "Used", figure: measured(device.used_bytes) });
  } else {
    parts.push(...modelParts(device));
    parts.push({ kind: "other", name: "Other", figure: measured(device.other_bytes ?? 0) });
    parts.push({ kind: "orphan", name: "Orphan", figure: measured(device.orphan_bytes ?? 0) });
    parts.push({
      kind: "unattributed",
      name: "Unattributed",
      figure: measured(device.unattributed_bytes ?? 0),
    });
  }
  parts.push({ kind: "reserved", name: "Driver", figure: measured(device.reserved_bytes ?? 0) });
  parts.push({ kind: "free", name: "Free", figure: measured(free) });
  const always = new Set(device.models_bytes ? ["kv-used", "kv-free", "free"] : ["free"]);
  return parts.filter(({ kind, figure }) => always.has(kind) || figure.value !== 0);
}

const NOTES: Record<string, string> = {
  used: "In use by anyone; this daemon does not tell by whom on which device.",
  weights: "What models hold that is not KV cache: weights, activations, graphs, context.",
  "kv-used": "KV blocks that live requests hold.",
  "kv-free": "KV blocks that are allocated already and that no request holds: the room for new ones.",
  other: "Processes that belong to no engine.",
  orphan: "Workers of vLLM whose server is gone: nobody uses this memory, and nobody will give it back.",
  unattributed: "What the driver counts for the device and for no process.",
  reserved: "Held by driver and firmware.",
  free: "In nobody's hands.",
};

class PartView {
  readonly root: HTMLElement; // its line of text
  readonly segment = element("span", { class: "segment" });
  private readonly value = element("b");
  private readonly name = element("span");
  private readonly swatch = element("i", { class: "swatch", "aria-hidden": "true" });
  private part: Part | undefined;
  private share = -1;

  constructor(title: () => string) {
    this.root = element("button", { type: "button", class: "part" }, this.swatch, this.name, this.value);
    const light = (on: boolean) => () => {
      if (on) this.showHint();
      this.segment.classList.toggle("lit", on);
      this.root.classList.toggle("lit", on);
    };
    const about = (beside: HTMLElement) => () => {
      if (!this.part) return;
      const { name, figure, kind } = this.part;
      showAbout(beside, { title: title(), entries: [figureEntry(name, figure, NOTES[kind])] });
    };
    for (const node of [this.root, this.segment]) {
      node.addEventListener("pointerenter", light(true));
      node.addEventListener("pointerleave", light(false));
      node.addEventListener("focus", light(true));
      node.addEventListener("blur", light(false));
      node.addEventListener("click", about(node));
    }
  }

  // Only when somebody points there: it changes with every document.
  private showHint(): void {
    if (!this.part) return;
    const hint = `${this.part.name}: ${figureHint(this.part.figure)}`;
    setAttribute(this.root, "title", hint);
    setAttribute(this.segment, "title", hint);
  }

  show(part: Part, total: number): void {
    this.part = part;
    const bytes = part.figure.value ?? 0;
    for (const node of [this.segment, this.swatch]) setAttribute(node, "data-kind", part.kind);
    setAttribute(this.root, "data-figure", part.kind);
    setAttribute(this.root, "data-bytes", String(bytes));
    setText(this.name, part.name);
    setText(this.value, figureText(part.figure));
    const share = Math.round((100 * Math.max(bytes, 0)) / total / STEP) * STEP;
    if (share !== this.share) this.segment.style.flexBasis = `${share}%`;
    this.share = share;
    setHidden(this.segment, bytes <= 0);
  }
}

function titleOf(device: Device): string {
  const instance = device.instance === null ? "" : `, instance ${device.instance}`;
  return `GPU ${device.index}${instance}`;
}

class DeviceView {
  readonly root = element("article", { class: "device" });
  private readonly title = element("h3");
  private readonly name = element("span", { class: "quiet device-name" });
  private readonly sum = element("span", { class: "numbers" });
  private readonly bar = element("div", { class: "stack", "aria-hidden": "true" });
  private readonly list = element("div", { class: "parts" });
  private readonly note = element("p", { class: "quiet" });
  private readonly views = new Map<string, PartView>();
  private readonly segments: Keyed<Part, { root: HTMLElement }>;
  private readonly lines: Keyed<Part, { root: HTMLElement }>;
  private device: Device | undefined;

  constructor() {
    const head = element("div", { class: "device-head" }, this.title, this.name, this.sum);
    this.root.append(head, this.bar, this.list, this.note);
    const update = (view: { root: HTMLElement }) => view;
    this.lines = new Keyed<Part, { root: HTMLElement }>(this.list, (p) => this.view(p), update);
    this.segments = new Keyed<Part, { root: HTMLElement }>(
      this.bar,
      (part) => ({ root: this.view(part).segment }),
      update,
    );
  }

  private view(part: Part): PartView {
    let view = this.views.get(part.kind);
    if (!view) {
      view = new PartView(() => (this.device ? titleOf(this.device) : ""));
      this.views.set(part.kind, view);
    }
    return view;
  }

  show(device: Device): void {
    this.device = device;
    const { total_bytes: total, used_bytes: used } = device;
    const parts = partsOf(device);
    setAttribute(this.root, "data-device", `${device.backend}:${device.index}${device.instance === null ? "" : `:${device.instance}`}`);
    setText(this.title, titleOf(device));
    setText(this.name, device.name);
    setText(this.sum, `${used === null ? UNKNOWN : gib(used)} of ${total === null ? UNKNOWN : gib(total)} GiB`);
    setAttribute(this.sum, "title", used === null ? (device.reason ?? "not known") : exactBytes(used));
    const keyed = parts.map((part) => [part.kind, part] as const);
    this.lines.show(keyed);
    this.segments.show(keyed);
    for (const part of parts) this.view(part).show(part, total ?? 1);
    const free = freeBytes(device);
    this.root.classList.toggle("short", free !== null && total !== null && free < total / 50);
    const unified = device.unified ? "It has no memory of its own but shares the host's. " : "";
    const text = unified + (device.reason ?? "");
    setText(this.note, text);
    setHidden(this.note, text === "");
  }
}

const empty = byId("devices-empty");
const views = new Keyed<Device, DeviceView>(
  byId("devices"),
  () => new DeviceView(),
  (view, device) => view.show(device),
);

export function showDevices(detail: Detail): void {
  views.show(detail.devices.map((device, i) => [device.uuid || `${device.backend}:${i}`, device]));
  setText(byId("devices-title"), detail.devices.length === 1 ? "GPU" : "GPUs");
  setHidden(empty, detail.devices.length > 0);
  setText(
    empty,
    detail.gpu.sources.length === 0
      ? "No GPU is asked here: the daemon was started with --gpu none."
      : "The driver answers, and has no GPU.",
  );
}
