// Consumers in full, group by group: what each reads, and how long until its group breaks with it: for want of heartbeats, or of polls.

import type { Mark } from "../colour";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { clock, count, duration, numbers, span } from "../format";
import { instantOf } from "../instant";
import { type Model, isPast, silence, spokenOf } from "../model";
import { type Standing, standings } from "../standing";

/** The meter is full here where no session is known: 6 s as it is set up. */
const FULL_MS = 6000;
/** Of a session: until here a heartbeat is in time, and its age is what counts; from here on, what is left. */
const IN_TIME = 0.35;
/** More are not listed: those in trouble come first. */
const SHOWN = 9;
const LISTED_PARTITIONS = 9;

export function consumers(): (model: Model) => void {
  const note = h("small");
  const section = byId("consumers");
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, head("Member"), head("State", "roomy-cell"), head("Reads"), head("Heartbeat, of its session"), head("Poll limit", "roomy-cell"), head("Stored/s", "r roomy-cell"))),
  );
  section.append(h("h2", { id: "consumers-title" }, "Consumers", note), table);
  const bodies = new Map<string, Body>();

  return (model) => {
    const all = standings(model);
    const list = all.length <= SHOWN ? all : inTrouble(all, model);
    const instant = instantOf(model);
    section.hidden = all.length === 0 && !isPast(model);
    text(note, noteOf(model, all.length, list.length));
    const groups = [...new Set(list.map(({ group_id }) => group_id))];
    if (groups.join("\n") !== [...bodies.keys()].join("\n")) {
      for (const { element } of bodies.values()) element.remove();
      bodies.clear();
      for (const group of groups) bodies.set(group, new Body());
      table.append(...[...bodies.values()].map(({ element }) => element));
    }
    for (const [group, body] of bodies) {
      const topic = instant.groups.find(({ group_id }) => group_id === group)?.topic ?? "";
      body.draw(groups.length > 1 ? { group, topic } : null, list.filter(({ group_id }) => group_id === group), instant.marks);
    }
  };
}

/** A group's members; under its name where there are several groups. */
class Body {
  readonly element = h("tbody");
  private readonly name = h("span");
  private readonly topic = h("span", { class: "dim small" });
  private readonly heading = h("tr", { class: "group", hidden: true }, h("th", { scope: "rowgroup", colspan: 6 }, this.name, this.topic));
  private readonly rows = new Rows<Standing>(this.element, ({ consumer_id }) => consumer_id, make, () => {}, this.heading);

  constructor() {
    this.element.append(this.heading);
  }

  draw(named: { group: string; topic: string } | null, list: readonly Standing[], marks: ReadonlyMap<string, Mark>): void {
    this.heading.hidden = named === null;
    text(this.name, named?.group ?? "");
    text(this.topic, named?.topic ?? "");
    this.rows.draw(list);
    list.forEach((standing, i) => {
      const row = this.element.children[i + 1];
      if (row instanceof HTMLElement) member(row, standing, marks.get(standing.consumer_id));
    });
  }
}

function member(row: HTMLElement, standing: Standing, mark: Mark | undefined): void {
  const chip = cell(row, "chip");
  text(chip, mark?.short ?? "?");
  attribute(chip, "data-hue", String(mark?.hue ?? 0));
  attribute(chip, "data-pattern", String(mark?.pattern ?? 0));
  text(cell(row, "state"), stateOf(standing));
  const reads = standing.reads.length > LISTED_PARTITIONS ? `${standing.reads.length} partitions` : numbers(standing.reads);
  text(cell(row, "reads"), standing.status === "silent" ? `had ${reads}` : reads);
  beat(row, standing);
  poll(row, standing);
  text(cell(row, "stored"), count(standing.storedPerSecond));
  attribute(row, "class", standing.hot ? "hot" : null);
}

/** The first of those in trouble, group by group. */
function inTrouble(all: readonly Standing[], model: Model): Standing[] {
  const first = new Set([...all].sort((a, b) => trouble(b, model) - trouble(a, model)).slice(0, SHOWN));
  const groups = [...new Set(all.map(({ group_id }) => group_id))];
  return groups.flatMap((group) => [...first].filter(({ group_id }) => group_id === group));
}

function noteOf(model: Model, all: number, listed: number): string {
  if (isPast(model)) return all === 0 ? `asking how they were at ${clock(spokenOf(model))}` : `as they were at ${clock(spokenOf(model))}`;
  return all > listed ? `${listed} of ${all}, those in trouble first` : "";
}

function trouble(standing: Standing, model: Model): number {
  const recent = model.recording.rebalances.filter(({ subjects, noticed_at }) => subjects.includes(standing.consumer_id) && Date.parse(noticed_at) > spokenOf(model) - 1_800_000).length;
  return (standing.hot ? 1000 : 0) + (standing.awayLeftMs !== null ? 500 : 0) + recent;
}

function stateOf({ status, awayLeftMs, staticId, skewMs }: Standing): string {
  if (awayLeftMs !== null) return awayLeftMs > 0 ? "away" : "away, given up";
  const skew = skewMs !== null && Math.abs(skewMs) >= 20 ? `, clock ${skewMs > 0 ? "+" : "−"}${duration(Math.abs(skewMs))}` : "";
  return `${status}${staticId ? ", static" : ""}${skew}`;
}

function beat(row: HTMLElement, { silentMs, sessionMs, status, awayLeftMs }: Standing): void {
  const age = cell(row, "age");
  const full = sessionMs ?? FULL_MS;
  const left = silentMs === null ? null : full - silentMs;
  const late = left !== null && left < full / 2;
  if (awayLeftMs !== null) text(age, `${duration(awayLeftMs)} of ${span(full)} left`);
  else if (silentMs === null) text(age, status === "stopped" || status === "gone" ? status : "–");
  else if (silentMs <= full * IN_TIME || sessionMs === null) text(age, `${duration(silentMs)} ago`);
  else text(age, silentMs < full ? `${duration(full - silentMs)} of ${span(full)} left` : `session over for ${duration(silentMs - full)}`);
  attribute(age, "class", late && sessionMs !== null ? "late" : null);
  fill(cell(row, "meter"), awayLeftMs !== null ? 1 - awayLeftMs / full : silentMs === null ? 0 : silentMs / full, late);
}

/** A member that does not poll breaks with its group though its client goes on beating. */
function poll(row: HTMLElement, { pollMs, pollLimitMs }: Standing): void {
  const words = cell(row, "poll");
  const meter = cell(row, "polled").parentElement;
  if (meter) meter.hidden = pollLimitMs === null;
  const known = pollMs !== null && pollLimitMs !== null;
  const share = known ? pollMs / pollLimitMs : 0;
  const left = known ? Math.max(0, pollLimitMs - pollMs) : 0;
  text(words, pollLimitMs === null ? "–" : share > 0.25 ? `${duration(left)} of ${span(pollLimitMs)} left` : span(pollLimitMs));
  attribute(words, "class", share > 0.5 ? "late" : "dim");
  fill(cell(row, "polled"), share, share > 0.5);
}

function fill(meter: HTMLElement, share: number, hot: boolean): void {
  const wide = `${Math.min(100, Math.round(share * 100))}%`;
  if (meter.style.inlineSize !== wide) meter.style.inlineSize = wide;
  attribute(meter, "class", hot ? "hot" : null);
}

/** Age of a heartbeat as a meter and in words; it goes on growing between two messages, not without the stream. */
export function heartbeat(row: HTMLElement, model: Model, ageSeconds: number, status: string): void {
  const age = ageSeconds * 1000 + (model.link.is === "live" ? (silence(model) ?? 0) : 0);
  text(cell(row, "age"), status === "stopped" ? "stopped" : `${duration(age)} ago`);
  fill(cell(row, "meter"), age / FULL_MS, age > FULL_MS / 2);
}

export function head(name: string, kind = ""): HTMLElement {
  return h("th", { scope: "col", class: kind }, name);
}

export function heartbeatCell(): HTMLElement {
  return h("td", { class: "beat" }, h("span", { class: "meter", "aria-hidden": "true" }, h("i", { "data-cell": "meter" })), h("span", { "data-cell": "age" }));
}

function make(standing: Standing): HTMLElement {
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: "name", title: standing.consumer_id },
      h("b", { class: "chip", "data-cell": "chip", "aria-hidden": "true" }),
      h("span", {}, standing.consumer_id),
    ),
    h("td", { class: "state roomy-cell", "data-cell": "state" }),
    h("td", { "data-cell": "reads" }),
    heartbeatCell(),
    h("td", { class: "beat roomy-cell" }, h("span", { class: "meter poll", "aria-hidden": "true" }, h("i", { "data-cell": "polled" })), h("span", { "data-cell": "poll" })),
    h("td", { class: "r roomy-cell", "data-cell": "stored" }),
  );
}
