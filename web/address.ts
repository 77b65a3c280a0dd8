// SPDX-License-Identifier: Apache-2.0
// What of the page a link can hold: #node=..&model=..&sort=..&filter=..&range=.., and of a
// fleet's table of nodes: by=..&find=..

export const RANGES = { "5m": 300, "1h": 3600, "6h": 21600, "24h": 86400 } as const;
export type Range = keyof typeof RANGES;

export interface Place {
  node: string; // "": the host itself, or the whole fleet
  model: string; // its key; "": all
  sort: string; // a column's key
  falling: boolean;
  filter: string;
  range: Range;
  nodeSort: string;
  nodeFalling: boolean;
  nodeFilter: string;
}

const START: Place = {
  node: "",
  model: "",
  sort: "vram",
  falling: true,
  filter: "",
  range: "5m",
  nodeSort: "state",
  nodeFalling: false,
  nodeFilter: "",
};

// "-vram": by that, the most first.
function readSort(text: string): [key: string, falling: boolean] {
  return [text.replace(/^-/, ""), text.startsWith("-")];
}

function writeSort(key: string, falling: boolean): string {
  return (falling ? "-" : "") + key;
}

export function readPlace(hash: string): Place {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const [sort, falling] = readSort(given.get("sort") ?? "-vram");
  const [nodeSort, nodeFalling] = readSort(given.get("by") ?? "state");
  const range = given.get("range") ?? "";
  return {
    node: given.get("node") ?? "",
    model: given.get("model") ?? "",
    sort,
    falling,
    filter: given.get("filter") ?? "",
    range: Object.hasOwn(RANGES, range) ? (range as Range) : START.range,
    nodeSort,
    nodeFalling,
    nodeFilter: given.get("find") ?? "",
  };
}

// What is as at the start is left out.
export function writePlace(place: Place): string {
  const given = new URLSearchParams();
  if (place.node) given.set("node", place.node);
  if (place.model) given.set("model", place.model);
  if (place.sort !== START.sort || place.falling !== START.falling)
    given.set("sort", writeSort(place.sort, place.falling));
  if (place.filter) given.set("filter", place.filter);
  if (place.range !== START.range) given.set("range", place.range);
  if (place.nodeSort !== START.nodeSort || place.nodeFalling !== START.nodeFalling)
    given.set("by", writeSort(place.nodeSort, place.nodeFalling));
  if (place.nodeFilter) given.set("find", place.nodeFilter);
  const text = given.toString();
  return text === "" ? "" : `#${text}`;
}

// Of one node, as at the start.
export function nodeLink(node: string): string {
  return writePlace({ ...START, node });
}
