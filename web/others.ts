// SPDX-License-Identifier: Apache-2.0
// Who else holds memory of the devices: orphans first.

import { Keyed, byId, element, setAttribute, setHidden, setText } from "./dom";
import { Detail, Process } from "./messages";
import { exactBytes, gibOrUnknown } from "./words";

const SHOWN = 12;

class Line {
  readonly root = element("tr");
  private readonly name = element("span", { class: "comm" });
  private readonly pid = element("span", { class: "quiet" });
  private readonly orphan = element("span", { class: "badge", "data-badge": "orphan", title: "A worker of vLLM whose server is gone" }, "ORPHAN");
  private readonly device = element("td", { class: "numbers" });
  private readonly memory = element("td", { class: "number" });

  constructor() {
    this.root.append(element("td", {}, this.name, this.pid, this.orphan), this.device, this.memory);
  }

  show(process: Process, detail: Detail): void {
    setAttribute(this.root, "data-process", `${process.pid}:${process.device}`);
    setText(this.name, process.comm ?? "(hidden from here)");
    setText(this.pid, ` ${process.pid} `);
    setHidden(this.orphan, process.owner !== "orphan");
    setText(this.device, String(detail.devices[process.device]?.index ?? process.device));
    setText(this.memory, `${gibOrUnknown(process.bytes)} GiB`);
    setAttribute(this.memory, "data-bytes", process.bytes === null ? null : String(process.bytes));
    setAttribute(this.memory, "title", process.bytes === null ? "The driver hides it" : exactBytes(process.bytes));
  }
}

let detail: Detail;
const views = new Keyed<Process, Line>(
  byId("others"),
  () => new Line(),
  (line, process) => line.show(process, detail),
);

export function showOthers(now: Detail): void {
  detail = now;
  const others = now.processes.filter(({ owner }) => owner !== "engine");
  const first = (process: Process) => (process.owner === "orphan" ? 0 : 1);
  others.sort((a, b) => first(a) - first(b));
  setHidden(byId("others-section"), others.length === 0);
  views.show(others.slice(0, SHOWN).map((process) => [`${process.pid}:${process.device}`, process]));
  const more = others.length - SHOWN + now.processes_left_out;
  setHidden(byId("others-note"), others.length <= SHOWN);
  setText(byId("others-note"), `and ${more} more`);
}
