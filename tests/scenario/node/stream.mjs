// SPDX-License-Identifier: Apache-2.0
// Read EVENTS events of a stream with the npm package `eventsource`; print their data.
// Usage: node stream.mjs URL EVENTS
import { EventSource } from "eventsource";

const [url, wanted] = process.argv.slice(2);
let seen = 0;
const source = new EventSource(url);
source.onmessage = (event) => {
  console.log(event.data);
  if (++seen === Number(wanted)) source.close();
};
source.onerror = (error) => {
  console.error(`error after ${seen} events: ${error.message ?? error.code ?? "closed"}`);
  process.exit(1);
};
