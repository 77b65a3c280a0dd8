// SPDX-License-Identifier: Apache-2.0
// What the feed knows to have happened on the host: the newest that documents tell, and
// what the daemon kept before.

import { HostEvent } from "./messages";

const KEPT = 256; // as many as the daemon answers with

// Ids alone may begin anew with another run of the daemon.
export function eventKey(event: HostEvent): string {
  return `${event.id} ${event.unix_ms}`;
}

export class Events {
  private known = new Map<string, HostEvent>();

  // Whether there is one among them that was not known.
  add(events: readonly HostEvent[]): boolean {
    const before = this.known.size;
    for (const event of events) {
      const key = eventKey(event);
      if (!this.known.has(key)) this.known.set(key, event);
    }
    if (this.known.size === before) return false;
    const newest = [...this.known].sort(([, a], [, b]) => a.unix_ms - b.unix_ms).slice(-KEPT);
    this.known = new Map(newest);
    return true;
  }

  list(): HostEvent[] {
    return [...this.known.values()];
  }
}
