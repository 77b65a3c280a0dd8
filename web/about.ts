// SPDX-License-Identifier: Apache-2.0
// "About this number": its value to the byte, where it comes from, how far it may be off,
// and why it is not known.

import { byId, element } from "./dom";
import { Figure } from "./messages";
import { UNKNOWN, errorInWords, exactBytes, figureText, fromInWords, sentence } from "./words";

export interface Entry {
  name: string;
  text: string; // the value, with its unit
  lines: string[];
}

export interface About {
  title: string;
  entries: Entry[];
}

export function figureEntry(name: string, figure: Figure | undefined, note = ""): Entry {
  if (!figure) return { name, text: UNKNOWN, lines: ["This daemon does not tell it."] };
  const text = figureText(figure);
  const lines =
    figure.value === null
      ? [`Not known: ${figure.reason ?? "no reason was given"}.`]
      : [exactBytes(figure.value), `${fromInWords(figure.from)}: ${errorInWords(figure)}.`];
  if (figure.value !== null && figure.reason) lines.push(sentence(figure.reason));
  if (note) lines.push(note);
  return { name, text: text === UNKNOWN ? text : `${text} GiB`, lines };
}

const popover = byId("about");
const title = byId("about-title");
const body = byId("about-body");
let opener: HTMLElement | undefined;

function rowOf(entry: Entry): HTMLElement {
  const lines = entry.lines.filter((line) => line !== "").map((line) => element("p", {}, line));
  return element(
    "section",
    {},
    element("h3", {}, element("span", {}, entry.name), element("b", {}, entry.text)),
    ...lines,
  );
}

// Beside what was asked about, within the window.
function place(beside: HTMLElement): void {
  const from = beside.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const left = Math.min(Math.max(from.left, 8), Math.max(innerWidth - width - 8, 8));
  const below = from.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : Math.max(from.top - height - 6, 8);
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
}

export function showAbout(beside: HTMLElement, about: About): void {
  if (opener === beside && popover.matches(":popover-open")) return popover.hidePopover();
  opener = beside;
  title.textContent = about.title;
  body.replaceChildren(...about.entries.map(rowOf));
  popover.showPopover();
  place(beside);
}
