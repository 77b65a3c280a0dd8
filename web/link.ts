// SPDX-License-Identifier: Apache-2.0
// The page's end of the feed.

import { HEARTBEAT_MS, ToFeed, ToPage } from "./messages";

// The build puts a digest of feed.js here, so that a new page never meets an old feed.
declare const FEED_TAG: string;

interface Policy {
  createScriptURL(url: string): string;
}
interface PolicyFactory {
  createPolicy(name: string, rules: Policy): Policy;
}

const FEED_URL = `/feed.js?${FEED_TAG}`;

// The one URL that a script is loaded from by script; see the policy of the page.
function feedUrl(): string {
  const factory = (window as { trustedTypes?: PolicyFactory }).trustedTypes;
  const rules: Policy = {
    createScriptURL(url) {
      if (url !== FEED_URL) throw new TypeError("not the feed");
      return url;
    },
  };
  return (factory?.createPolicy("vramscope", rules) ?? rules).createScriptURL(FEED_URL);
}

export class Link {
  private readonly url = feedUrl();
  private channel: MessagePort | Worker;
  private paused = false;
  private node: string;

  constructor(
    private readonly onMessage: (message: ToPage) => void,
    private readonly token: () => string,
    node: string,
  ) {
    this.node = node;
    this.channel = this.open();
    this.begin();
    document.addEventListener("visibilitychange", () => this.sayVisible());
    window.addEventListener("pagehide", () => this.send({ kind: "leave" }));
    window.addEventListener("pageshow", () => this.sayVisible());
    setInterval(() => this.sayVisible(), HEARTBEAT_MS);
  }

  send(message: ToFeed): void {
    this.channel.postMessage(message);
  }

  setPaused(paused: boolean): void {
    this.paused = paused;
    this.sayVisible();
  }

  setNode(node: string): void {
    this.node = node;
    this.sayVisible();
  }

  private sayVisible(): void {
    this.send({ kind: "visible", visible: !document.hidden && !this.paused, node: this.node });
  }

  private begin(): void {
    this.channel.onmessage = (event: MessageEvent) => this.onMessage(event.data as ToPage);
    const token = this.token();
    if (token) this.send({ kind: "token", token });
    this.sayVisible();
  }

  private open(): MessagePort | Worker {
    if (typeof SharedWorker === "undefined") return new Worker(this.url);
    try {
      const shared = new SharedWorker(this.url);
      shared.onerror = () => {
        this.channel = new Worker(this.url); // some browsers let no page share
        this.begin();
      };
      return shared.port;
    } catch {
      return new Worker(this.url);
    }
  }
}
