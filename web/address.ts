// SPDX-License-Identifier: Apache-2.0
// What of the page a link can hold: #model=..&sort=..&filter=..&range=..

export const RANGES = { "5m": 300, "1h": 3600, "6h": 21600, "24h": 86400 } as const;
export type Range = keyof typeof RANGES;

export interface Place {
  model: string; // its key; "": all
  sort: string; // a column's key
  falling: boolean;
  filter: string;
  range: Range;
}

const START: Place = { model: "", sort: "vram", falling: true, filter: "", range: "5m" };

export function readPlace(hash: string): Place {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const sort = given.get("sort") ?? "-vram";
  const range = given.get("range") ?? "";
  return {
    model: given.get("model") ?? "",
    sort: sort.replace(/^-/, ""),
    falling: sort.startsWith("-"),
    filter: given.get("filter") ?? "",
    range: Object.hasOwn(RANGES, range) ? (range as Range) : START.range,
  };
}

// What is as at the start is left out.
export function writePlace(place: Place): string {
  const given = new URLSearchParams();
  if (place.model) given.set("model", place.model);
  if (place.sort !== START.sort || place.falling !== START.falling)
    given.set("sort", (place.falling ? "-" : "") + place.sort);
  if (place.filter) given.set("filter", place.filter);
  if (place.range !== START.range) given.set("range", place.range);
  const text = given.toString();
  return text === "" ? "" : `#${text}`;
}
