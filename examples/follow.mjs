// SPDX-License-Identifier: Apache-2.0
// Print a line for each event of a daemon: node follow.mjs [URL]
// A stream that breaks, or says nothing for 15 s, is asked for again. Node 18 or newer.
import { setTimeout as sleep } from "node:timers/promises";

async function* linesOf(url) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), 15_000);
  const response = await fetch(url, { signal: silence.signal });
  if (!response.ok) throw new Error(`the daemon answers ${response.status}`);
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), 15_000);
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    yield* lines;
  }
  clearTimeout(timer);
  throw new Error("the stream has ended");
}

for (const url = process.argv[2] ?? "http://127.0.0.1:6767"; ; await sleep(2000))
  try {
    for await (const line of linesOf(url + "/vram/stream")) {
      if (!line.startsWith("data: ")) continue;
      const event = JSON.parse(line.slice("data: ".length));
      const models = event.models.map((m) => `${m.model_id}:${m.port}=${m.used_kv_cache_bytes}`);
      console.log(`allocated=${event.allocated_vram_bytes}`, `kv=${event.used_kv_cache_bytes}`,
        `hit=${event.prefix_cache_hit_rate}`, ...models);
    }
  } catch (error) {
    console.error(`${error.message}: again in 2 s`);
  }
