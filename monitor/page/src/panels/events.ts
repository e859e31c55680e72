// The journal, newest first: rebalances as consumers saw them, alarms of the system, and what people decided. What one consumer saw in the same
// moment is one line.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import { clock } from "../format";
import { type AlarmEvent, type Event, type Model, type Rebalancing, isPast, spokenOf } from "../model";

const SHOWN = 60;
/** Events of one consumer and kind within this are one line, in milliseconds. */
const TOGETHER_MS = 1500;

export interface Line {
  key: string;
  at: string;
  who: string;
  what: string;
  detail: string;
  hot: boolean;
}

export function events(): (model: Model) => void {
  const list = h("ol", { class: "events" });
  const note = h("p", { class: "small dim" });
  const section = byId("events");
  section.append(h("h2", { id: "events-title" }, "Journal"), list, note);
  const rows = new Rows<Line>(list, (line) => line.key, make, update);
  let drawn: readonly Event[] | null = null;
  let drawnUntil = Number.NaN;

  return (model) => {
    section.hidden = model.recording.story !== null;
    const until = isPast(model) ? spokenOf(model) : Number.POSITIVE_INFINITY;
    if (model.events === drawn && until === drawnUntil) return;
    drawn = model.events;
    drawnUntil = until;
    const lines = grouped(model.events.filter(({ occurred_at }) => Date.parse(occurred_at) <= until)).slice(0, SHOWN);
    rows.draw(lines);
    const gap = model.skipped ? "Some events were skipped while this page was away. " : "";
    text(note, lines.length === 0 ? (isPast(model) ? "This page has no event from before then." : "Nothing was recorded yet.") : `${gap}Times are UTC, by the clocks of who saw it.`);
  };
}

/** Pure, and newest first like its input. */
export function grouped(all: readonly Event[]): Line[] {
  const lines: Grown[] = [];
  for (const event of all) {
    if (event.kind === "alarm") {
      lines.push(alarm(event, event.body as AlarmEvent));
      continue;
    }
    if (event.kind !== "rebalancing") continue;
    const body = event.body as Rebalancing;
    const at = Date.parse(event.occurred_at);
    const last = lines.at(-1);
    if (last && last.who === body.consumer_id && last.type === body.event_type && Math.abs(last.until - at) < TOGETHER_MS) {
      if (body.partition_number !== null) last.partitions.push(body.partition_number);
      last.until = at;
      continue;
    }
    lines.push({
      key: String(event.number),
      at: event.occurred_at,
      who: body.consumer_id,
      type: body.event_type,
      what: "",
      detail: body.detail ?? "",
      hot: ["lost", "refused", "quarantined", "offset_went_back", "dropped"].includes(body.event_type),
      partitions: body.partition_number === null ? [] : [body.partition_number],
      until: at,
    });
  }
  return lines.map(({ partitions, type, until: _, ...line }) => ({
    ...line,
    what: `${type.replaceAll("_", " ")} ${partitions.sort((a, b) => a - b).join(" ")}`.trim(),
  }));
}

/** A line while events are still added to it. */
type Grown = Line & { partitions: number[]; type: string; until: number };

function alarm(event: Event, body: AlarmEvent): Grown {
  const level = body.level ? ` ${body.level.replaceAll("_", "-")}` : "";
  return {
    key: String(event.number),
    at: event.occurred_at,
    who: body.source,
    type: `${body.condition}${level} ${body.event}`,
    what: "",
    detail: body.detail ?? (body.event === "raised" && body.chattering ? "chattering: only counted from here on" : ""),
    hot: body.event === "raised" && body.severity >= 700,
    partitions: [],
    until: Number.NaN,
  };
}

function make(): HTMLElement {
  return h(
    "li",
    {},
    h("time", { "data-cell": "at" }),
    h("b", { "data-cell": "who" }),
    h("span", { "data-cell": "what" }),
    h("small", { "data-cell": "detail" }),
  );
}

function update(row: HTMLElement, line: Line): void {
  text(cell(row, "at"), clock(line.at));
  attribute(cell(row, "at"), "datetime", line.at);
  text(cell(row, "who"), line.who);
  attribute(cell(row, "who"), "title", line.who);
  text(cell(row, "what"), line.what);
  text(cell(row, "detail"), line.detail);
  attribute(row, "class", line.hot ? "hot" : null);
}
