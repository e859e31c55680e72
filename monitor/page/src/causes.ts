// Causes in a word, in a clause and as a glyph. Other words for the same thing would be another thing.

import type { Cause, Rebalance } from "./record";
import { listed } from "./format";

const WORDS: Record<Cause, string> = {
  crash: "crash",
  clean_leave: "clean leave",
  join: "join",
  rolling_restart: "rolling restart",
  session_timed_out: "timed out",
  poll_interval_exceeded: "poll limit",
  fenced: "fenced",
  metadata_changed: "metadata changed",
  topic_recreated: "topic recreated",
  broker_lost: "broker lost",
  static_member_returned: "away",
  unknown: "left or crashed",
};

export function causeWord(cause: Cause): string {
  return WORDS[cause] ?? String(cause).replaceAll("_", " ");
}

/** "sensor-consumer-1 died without leaving". */
export function clause({ cause, subjects }: Pick<Rebalance, "cause" | "subjects">): string {
  const who = subjects.length === 0 ? "a member" : subjects.length > 3 ? `${subjects.length} members` : listed(subjects);
  const was = subjects.length > 1 ? "were" : "was";
  switch (cause) {
    case "crash":
      return `${who} died without leaving`;
    case "clean_leave":
      return `${who} left in order`;
    case "join":
      return `${who} joined`;
    case "rolling_restart":
      return `rolling restart of ${who}`;
    case "session_timed_out":
      return `${who} timed out`;
    case "poll_interval_exceeded":
      return `${who} did not poll and ${was} removed`;
    case "fenced":
      return `${who} ${was} fenced by another process with the same static id`;
    case "metadata_changed":
      return "the topic or the subscription changed";
    case "topic_recreated":
      return "the topic was deleted and created again";
    case "broker_lost":
      return `${subjects.length === 0 ? "a broker" : who} ${was} lost`;
    case "static_member_returned":
      return `${who} went away and came back`;
    default:
      return `${who} left or crashed`;
  }
}

/** Strokes on a field of 12 by 12. */
const GLYPHS: Record<Cause, string> = {
  crash: "M3 3l6 6M9 3l-6 6",
  clean_leave: "M2 6h7M6.5 3.5L9 6 6.5 8.5M10.5 2v8",
  join: "M6 2v8M2 6h8",
  rolling_restart: "M10 6a4 4 0 1 1-1.4-3M9 .8V3.2H6.6",
  session_timed_out: "M4 2.5v7M8 2.5v7",
  poll_interval_exceeded: "M6 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8M6 3.5V6l1.8 1.2",
  fenced: "M2 2v8M5 2v8M8 2v8M1 6h9",
  metadata_changed: "M2 4h8M2 8h8M4 2l-1 8M9 2l-1 8",
  topic_recreated: "M2 3h8v6h-8zM4 6h4",
  broker_lost: "M6 1.5L10.5 6 6 10.5 1.5 6z",
  static_member_returned: "M2 4h7L7 2M10 8H3l2 2",
  unknown: "M4 4a2 2 0 1 1 2 2.4V8M6 9.6v.6",
};

const SVG = "http://www.w3.org/2000/svg";

export function glyph(cause: Cause): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ width: "12", height: "12", viewBox: "0 0 12 12", class: "glyph", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", GLYPHS[cause] ?? GLYPHS.unknown);
  svg.append(path);
  return svg;
}
