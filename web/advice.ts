// SPDX-License-Identifier: Apache-2.0
// What could be set better, with its arithmetic. Nothing is ever done about it from here.

import { byId, element, setHidden } from "./dom";
import { Advice } from "./messages";
import { duration } from "./words";

let shown = "";

function copyButton(command: string): HTMLElement {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => {
    void navigator.clipboard.writeText(command).then(() => {
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  });
  return button;
}

function card(advice: Advice): HTMLElement {
  const made = element("article", { class: "card", "data-advice": advice.id, "data-severity": advice.severity });
  made.append(element("h3", {}, advice.title));
  const about = [`confidence: ${advice.confidence}`];
  if (advice.observed_ms) about.unshift(`observed for ${duration(advice.observed_ms)}`);
  if (advice.model_id !== null) {
    made.dataset["model"] = `${advice.model_id}:${advice.port ?? 0}`;
    about.unshift(`${advice.model ?? advice.model_id} :${advice.port ?? 0}`);
  }
  made.append(element("p", { class: "quiet" }, about.join(" · ")));
  if (advice.text) made.append(element("p", {}, advice.text));
  if (advice.arithmetic.length > 0)
    made.append(element("ul", { class: "arithmetic" }, ...advice.arithmetic.map((line) => element("li", {}, line))));
  if (advice.command) {
    const line = element("div", { class: "command" }, element("code", {}, advice.command));
    if (window.isSecureContext) line.append(copyButton(advice.command));
    made.append(line);
  }
  return made;
}

export function showAdvice(advice: readonly Advice[]): void {
  const text = JSON.stringify(advice);
  if (text === shown) return;
  shown = text;
  byId("advice").replaceChildren(...advice.map(card));
  setHidden(byId("advice-section"), advice.length === 0);
}
