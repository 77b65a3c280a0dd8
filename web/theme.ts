// SPDX-License-Identifier: Apache-2.0
// Light, dark, or as the system has it.

import { byId } from "./dom";

const ORDER = ["auto", "light", "dark"] as const;
const KEY = "vramscope-theme";

function stored(): string {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

function keep(theme: string): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // then it lasts as long as the page
  }
}

export function startTheme(onChange: () => void): void {
  const button = byId("theme");
  let at = Math.max(ORDER.findIndex((theme) => theme === stored()), 0);
  const apply = () => {
    const theme = ORDER[at] as string;
    document.documentElement.dataset["theme"] = theme;
    button.textContent = `Theme: ${theme}`;
  };
  apply();
  button.addEventListener("click", () => {
    at = (at + 1) % ORDER.length;
    apply();
    keep(ORDER[at] as string);
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}
