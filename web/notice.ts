// SPDX-License-Identifier: Apache-2.0
// How the connection stands: the badge, and a notice where something is to be known or done.

import { byId, setAttribute, setHidden, setText } from "./dom";
import { Detail, Status } from "./messages";
import { sentence, wholeSeconds } from "./words";

const STALE_MS = 2000; // as the daemon has it for the driver's figures

export interface Connection {
  status: Status;
  detail: Detail | undefined;
  ageMs: number; // of the document
  paused: boolean;
  tokenRefused: boolean;
  node: string; // that is looked at; "": none
  wasElsewhere: boolean; // what is drawn may be of another place
}

interface Notice {
  title: string;
  text: string;
  remedy: string;
  reason: string;
}

// What an outage is, for who does not know the words of drivers. By the code of the 503.
const OUTAGES: Record<string, [title: string, text: string]> = {
  "no-library": ["The GPU driver's library is not here", "Without it nobody can tell what the GPUs hold. It comes with the driver; in a container it must be let in."],
  "bad-library": ["The GPU driver's library is not one that can be used", "It is there, but it is not what it should be."],
  "no-driver": ["The GPU driver is not loaded", "The library is there, and the kernel's part of the driver does not answer."],
  "version-mismatch": ["The GPU driver was updated under way", "Its library and the part that runs in the kernel are of two versions."],
  "no-device": ["No GPU was found", "The driver runs, and there is no device that it is for."],
  "no-permission": ["The GPUs may not be asked", "The driver is there, and the daemon's user may not open its devices."],
  "driver-silent": ["The GPU driver does not answer", "It was asked and has not come back. It is asked again all the time."],
  "nats-lost": ["The gateway hears no node", "It is not connected to the NATS server that the nodes publish to. It tries again all the time."],
  "no-nodes": ["No node has been heard yet", "A gateway shows the hosts that publish to its NATS server. Start the daemon on each of them: vramscoped --nats URL."],
  "node-stale": ["The figures of this node are old", "Nothing new has come from it for a moment."],
  "node-lost": ["This node is lost", "Nothing has come from it for a while: it is down, its daemon has ended, or the way to it is broken."],
  "node-outage": ["This node has no figures of its GPUs", "Its daemon runs, and its driver gives none at the moment."],
  "node-unreadable": ["This node cannot be read", "What it publishes is not what this version knows: one of the two is to be brought up to date."],
  busy: ["Too many nodes are looked at", "The gateway follows a few at a time, for all who look."],
  "no-device-memory": ["The GPUs do not tell their memory", "The driver has devices, but not one whose memory is known."],
};

// Why there is no such node to look at. By the code of the answer.
const NO_NODE: Record<string, [title: string, text: string]> = {
  "no-such-node": ["No such node", "The gateway has heard of none with this name, or not for an hour."],
  "ambiguous-node": ["Two nodes have this name", "They are in the fleet's table, with a part of their machines' ids. A name of its own is given with vramscoped --node."],
  "no-gateway": ["This daemon has no nodes", "It is a single host's, and no gateway of a fleet."],
  "too-many-streams": ["Too many nodes are looked at", "A browser has few connections with a server."],
};

const NOBODY_COUNTS = ["No node has figures", "The table below has what each of them said last, and why it does not count."] as const;

// A gateway without figures goes on to tell of its nodes.
function tellsOutage({ status, detail, ageMs }: Connection): boolean {
  return status.state === "no-data" && detail?.outage !== undefined && ageMs < Math.max(STALE_MS, 3 * detail.interval_ms);
}

function outage(status: Extract<Status, { state: "no-data" }>, isTold: boolean): Notice {
  const words = isTold && status.code === "no-nodes" ? NOBODY_COUNTS : (OUTAGES[status.code] ?? NO_NODE[status.code]);
  const [title, text] = words ?? ["No figures of the GPUs", "The driver gives none at the moment."];
  return { title, text, remedy: sentence(status.remedy), reason: `The daemon says: ${status.reason}` };
}

function noNode(status: Extract<Status, { state: "no-node" }>): Notice {
  const [title, text] = NO_NODE[status.code] ?? ["This node cannot be shown", ""];
  return { title, text, remedy: sentence(status.remedy), reason: `Why: ${status.reason}` };
}

function noticeOf(now: Connection): Notice | undefined {
  const { status } = now;
  switch (status.state) {
    case "no-data":
      return outage(status, tellsOutage(now));
    case "no-node":
      return noNode(status);
    case "lost": {
      const left = status.retryAt - Date.now();
      const shown = now.detail ? " What is below is the last that came." : "";
      return {
        title: "The daemon cannot be reached",
        text: `Trying again ${left > 500 ? `in ${wholeSeconds(left)}` : "now"}.${shown}`,
        remedy: status.remedy,
        reason: `Why: ${status.reason}`,
      };
    }
    case "token-needed":
      return {
        title: now.tokenRefused ? "That was not the token" : "This daemon asks for a token",
        text: now.tokenRefused ? "The daemon has another one. Look for blanks and line ends around it." : "Who has it sees the figures.",
        remedy: "",
        reason: "",
      };
    default:
      return undefined;
  }
}

function gpuStale(now: Connection): boolean {
  const age = now.detail?.gpu.age_ms ?? 0;
  return age > Math.max(STALE_MS, 3 * (now.detail?.interval_ms ?? 0));
}

export function badgeOf(now: Connection): [state: string, text: string] {
  if (now.paused) return ["paused", "Paused"];
  switch (now.status.state) {
    case "live":
      if (now.detail?.fleet?.nats.connected === false) return ["stale", "NATS lost"];
      return gpuStale(now) ? ["stale", "Stale"] : ["live", "Live"];
    case "no-data":
      return ["lost", "No figures"];
    case "no-node":
      return ["lost", "No such node"];
    case "lost":
      return ["lost", "Reconnecting"];
    case "token-needed":
      return ["lost", "Token needed"];
    default:
      return ["connecting", "Connecting"];
  }
}

function ageText(now: Connection, state: string): string {
  if (!now.detail || tellsOutage(now)) return "";
  if (now.detail.fleet && state === "stale") return "the gateway hears nobody";
  if (state === "stale") return `GPU figures are ${wholeSeconds((now.detail.gpu.age_ms ?? 0) + now.ageMs)} old`;
  if (state === "live") return "";
  return `figures are ${wholeSeconds(now.ageMs)} old`;
}

const badge = byId("status");
const form = byId<HTMLFormElement>("token-form");

export function showConnection(now: Connection): void {
  const [state, text] = badgeOf(now);
  setAttribute(document.body, "data-state", state);
  setAttribute(document.body, "data-outage", tellsOutage(now) ? "" : null);
  setAttribute(badge, "data-state", state);
  setText(badge, text);
  setText(byId("status-age"), ageText(now, state));

  const notice = now.paused ? undefined : noticeOf(now);
  const asks = now.status.state === "token-needed" && !now.paused;
  setHidden(byId("notice"), !notice);
  setAttribute(byId("notice"), "data-state", now.status.state);
  setHidden(byId("figures"), !now.detail && (notice !== undefined || now.wasElsewhere));
  setHidden(form, !asks);
  setHidden(byId("retry"), !["lost", "no-data", "no-node"].includes(now.status.state) || tellsOutage(now));
  setHidden(byId("notice-back"), now.node === "");
  if (!notice) return;
  setText(byId("notice-title"), notice.title);
  setText(byId("notice-text"), notice.text);
  setText(byId("notice-remedy"), notice.remedy);
  setHidden(byId("notice-remedy"), notice.remedy === "");
  setText(byId("notice-reason"), notice.reason);
}

export function onToken(take: (token: string) => void): void {
  const input = byId<HTMLInputElement>("token");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    take(input.value.trim());
    input.value = "";
  });
}
