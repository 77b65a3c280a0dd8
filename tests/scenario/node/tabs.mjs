// SPDX-License-Identifier: Apache-2.0
// Tabs of a headless Chromium that do what lines of JSON on stdin say: each is answered by
// a line on stdout. The scenarios (../tabs.py) hold the other end.
// Usage: NODE_MODULES=DIR node tabs.mjs CHROMIUM [ARGUMENT...]
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const modules = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = modules("playwright-core");
const AXE = await readFile(modules.resolve("axe-core/axe.min.js"), "utf8");
const STEP_MS = 10_000;

const [executablePath, ...args] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args });
const whole = await browser.newBrowserCDPSession();
const profiles = [];
const tabs = [];

// What a page breaks of its own policy it tells to nobody but itself.
const WATCH = `addEventListener("securitypolicyviolation", (event) =>
  console.error("policy:", event.violatedDirective, event.blockedURI, event.sample))`;

function watch(page) {
  const tab = { page, faults: [], requests: [] };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) tab.faults.push(message.text());
  });
  page.on("pageerror", (error) => tab.faults.push(String(error)));
  page.on("dialog", (dialog) => {
    tab.faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => tab.requests.push(request.url()));
  page.on("popup", (other) => tab.faults.push(`opened ${other.url()}`));
  return tab;
}

// Playwright has no sessions for shared workers: their messages go through the browser's.
async function askTarget(targetId, method, params) {
  const { sessionId } = await whole.send("Target.attachToTarget", { targetId, flatten: false });
  const answered = new Promise((resolve) => {
    const take = (event) => {
      const said = JSON.parse(event.message);
      if (event.sessionId !== sessionId || said.id !== 1) return;
      whole.off("Target.receivedMessageFromTarget", take);
      resolve(said);
    };
    whole.on("Target.receivedMessageFromTarget", take);
  });
  const message = JSON.stringify({ id: 1, method, params });
  await whole.send("Target.sendMessageToTarget", { sessionId, message });
  const { result, error } = await answered;
  await whole.send("Target.detachFromTarget", { sessionId });
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

const ACTIONS = {
  async profile({ options }) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(STEP_MS);
    await context.addInitScript(WATCH);
    return profiles.push(context) - 1;
  },
  async tab({ profile }) {
    return tabs.push(watch(await profiles[profile].newPage())) - 1;
  },
  // A method of playwright's Page, or of a part of it: "click", "keyboard.press".
  async call({ tab, method, values }) {
    const path = method.split(".");
    const last = path.pop();
    const owner = path.reduce((part, name) => part[name], tabs[tab].page);
    return owner[last](...values);
  },
  // One of the Chromium DevTools protocol.
  async protocol({ tab, method, values }) {
    const { page } = tabs[tab];
    tabs[tab].session ??= await page.context().newCDPSession(page);
    return tabs[tab].session.send(method, values);
  },
  async processes() {
    return (await whole.send("SystemInfo.getProcessInfo")).processInfo;
  },
  // To workers of this kind, "shared_worker": what each answers.
  async workers({ type, method, values }) {
    const { targetInfos } = await whole.send("Target.getTargets");
    return Promise.all(targetInfos.filter((target) => target.type === type)
      .map((target) => askTarget(target.targetId, method, values)));
  },
  async download({ tab, selector }) {
    const { page } = tabs[tab];
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    const text = await readFile(await download.path(), "utf8");
    return { name: download.suggestedFilename(), text };
  },
  async accessibility({ tab }) {
    const { page } = tabs[tab];
    await page.evaluate(AXE);
    const { violations, passes } = await page.evaluate("axe.run()");
    const faults = violations.map(({ id, impact, nodes }) => ({
      id, impact, where: nodes.map((node) => node.target.join(" ")),
    }));
    return { faults, passes: passes.length };
  },
  watched({ tab }) {
    const { faults, requests } = tabs[tab];
    return { faults, requests };
  },
  async leave({ profile }) {
    await profiles[profile].close();
  },
};

// What can be said in JSON; a handle of playwright's cannot, and is not needed.
function plain(value) {
  return value === undefined || value?.constructor?.name?.endsWith("Handle") ? null : value;
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  let answer;
  try {
    answer = { value: plain(await ACTIONS[said.action](said)) };
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
