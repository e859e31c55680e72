// Alarms that stand, in the words of OPC UA Part 9: of sensors, and of the system itself.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import { clock, count } from "../format";
import { type Alarm, type AlarmCounts, type Model, isPast } from "../model";

/** What each state is called here. */
const STATES: Record<string, string> = {
  active_unacknowledged: "active",
  active_acknowledged: "active, seen",
  returned_unacknowledged: "returned, unseen",
  shelved: "shelved",
};

export function alarms(): (model: Model) => void {
  const summary = h("p", { class: "dim small" });
  const list = h("ul", { class: "events" });
  const section = byId("alarms");
  section.append(h("h2", { id: "alarms-title" }, "Alarms"), summary, list);
  const rows = new Rows<Alarm>(list, (alarm) => `${alarm.source_type} ${alarm.source} ${alarm.condition}`, make, update);
  let drawn: readonly Alarm[] | null = null;

  return (model) => {
    const { state } = model;
    section.hidden = model.recording.story !== null;
    // Which alarms stood then is not told; what was raised and cleared is in the journal.
    list.hidden = isPast(model);
    if (isPast(model)) {
      drawn = null;
      return text(summary, "Which of them stood then is not kept. The journal has what was raised and cleared.");
    }
    if (!state || state.alarms === drawn) return;
    drawn = state.alarms;
    rows.draw(state.alarms);
    text(summary, counted(state.alarm_counts, state.alarms.length));
  };
}

/** "2 active, 1 seen, 3 returned unseen, 1 shelved"; how many of them are listed, when not all. */
export function counted(counts: AlarmCounts, listed: number): string {
  const all: [number, string][] = [
    [counts.active_unacknowledged, "active"],
    [counts.active_acknowledged, "active and seen"],
    [counts.returned_unacknowledged, "returned unseen"],
    [counts.shelved, "shelved"],
  ];
  const parts = all.filter(([n]) => n > 0).map(([n, name]) => `${count(n)} ${name}`);
  const total = all.reduce((sum, [n]) => sum + n, 0);
  if (parts.length === 0) return "None stands.";
  return parts.join(", ") + (total > listed ? `; the first ${count(listed)}` : "");
}

/** What is the matter, in a few words. */
export function matter(alarm: Alarm): string {
  const parts: string[] = [];
  if (alarm.value !== null && alarm.value !== undefined) {
    const against = alarm.threshold === null || alarm.threshold === undefined ? "" : ` passed ${figure(alarm.threshold)}`;
    parts.push(`${figure(alarm.value)}${against}`);
  }
  if (alarm.detail) parts.push(alarm.detail);
  if (alarm.chattering) parts.push(`chattering, ${count(alarm.activations)} times`);
  if (alarm.acknowledged_by) parts.push(`seen by ${alarm.acknowledged_by}`);
  if (alarm.shelved_until) parts.push(`until ${clock(alarm.shelved_until)}: ${alarm.shelve_reason ?? ""}`);
  return parts.join("; ");
}

/** 70.25, without digits that say nothing. */
function figure(value: number): string {
  return String(Number(value.toPrecision(5)));
}

function make(): HTMLElement {
  return h(
    "li",
    {},
    h("time", { "data-cell": "at" }),
    h("b", { "data-cell": "source" }),
    h("span", { "data-cell": "what" }),
    h("small", { "data-cell": "matter" }),
  );
}

function update(row: HTMLElement, alarm: Alarm): void {
  text(cell(row, "at"), clock(alarm.raised_at));
  attribute(cell(row, "at"), "datetime", alarm.raised_at);
  text(cell(row, "source"), alarm.source);
  const condition = alarm.condition.replaceAll("_", " ");
  const level = alarm.level ? ` ${alarm.level.replaceAll("_", "-")}` : "";
  text(cell(row, "what"), `${condition}${level}: ${STATES[alarm.state] ?? alarm.state}`);
  text(cell(row, "matter"), matter(alarm));
  attribute(row, "class", alarm.state === "active_unacknowledged" && alarm.severity >= 700 ? "hot" : null);
}
