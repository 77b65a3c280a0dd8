// SPDX-License-Identifier: Apache-2.0
// The fleet, or one of its nodes: the way there and back.

import { Place, readPlace } from "./address";
import { byId, setAttribute, setHidden, setText } from "./dom";
import { Detail } from "./messages";

export class Where {
  private fleet = ""; // what the address said there last
  private readonly ways = [byId("up"), byId("notice-back")];

  // `onMove`: another place is looked at than before.
  constructor(
    private readonly place: Place,
    private readonly onMove: () => void,
    private readonly onChange: () => void,
  ) {
    this.remember();
    addEventListener("hashchange", () => this.read());
    addEventListener("keydown", (event) => this.onKey(event));
    for (const way of this.ways)
      way.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab
        event.preventDefault();
        this.goUp();
      });
  }

  private read(): void {
    const { node } = this.place;
    Object.assign(this.place, readPlace(location.hash));
    this.remember();
    if (this.place.node === node) return this.onChange();
    scrollTo(0, 0);
    this.onMove();
  }

  remember(): void {
    if (this.place.node === "") this.fleet = location.hash;
    for (const way of this.ways) setAttribute(way, "href", this.fleet || "#");
  }

  private goUp(): void {
    if (this.place.node === "") return;
    history.pushState(null, "", `${location.pathname}${location.search}${this.fleet}`);
    this.read();
  }

  // Escape closes what is open, or empties a filter, first.
  private onKey(event: KeyboardEvent): void {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector(":popover-open")) return;
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (!isTyping) this.goUp();
  }

  // Whether the whole fleet, one node or a host by itself is shown is the style sheet's too.
  show(detail: Detail | undefined): void {
    const { node } = this.place;
    setHidden(byId("crumbs"), node === "");
    setText(byId("where"), node);
    if (!detail) return;
    const isFleet = detail.fleet !== undefined;
    setAttribute(document.body, "data-level", isFleet ? "fleet" : node === "" ? "host" : "node");
    setHidden(byId("nodes-section"), !isFleet);
    setHidden(byId("devices-section"), isFleet);
    setHidden(byId("download-nodes"), !isFleet);
    setHidden(byId("past-note"), node === "");
  }
}
