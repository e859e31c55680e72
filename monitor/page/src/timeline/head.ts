// A group's head: its name, what is known of it, and its members as legend and heartbeat meter in one.

import { Rows, attribute, cell, h, text } from "../dom";
import { counted, duration, span } from "../format";
import { type Instant, lane } from "../instant";
import type { Group, GroupNow } from "../record";
import type { Standing } from "../standing";

/** More members than this are named in the gutter and in the list only. */
const KEYS = 8;
/** More have no room for their names: the short one is on the lanes as well, the full one in its title. */
const NAMED = 4;

interface Key {
  standing: Standing;
  instant: Instant;
}

export class Head {
  readonly element: HTMLElement;
  private readonly name = h("h3");
  private readonly facts = h("span", { class: "small dim" });
  private readonly keys = h("span", { class: "keys small" });
  private readonly rows: Rows<Key>;

  constructor(lit: (slot: number | null) => void) {
    this.element = h("div", { class: "ghead" }, this.name, this.facts, this.keys);
    this.rows = new Rows<Key>(this.keys, ({ standing }) => standing.consumer_id, () => make(lit), update);
  }

  draw(group: Group, now: GroupNow | undefined, standings: readonly Standing[], instant: Instant): void {
    text(this.name, group.group_id);
    attribute(this.name, "title", `${group.group_id} reads ${group.topic}`);
    const said = facts(group, now, standings, instant);
    text(this.facts, said);
    attribute(this.facts, "title", said);
    const shown = standings.filter(({ status }) => status !== "stopped" && status !== "gone");
    attribute(this.keys, "data-many", shown.length > NAMED ? "" : null);
    this.rows.draw(shown.length > KEYS ? [] : shown.map((standing) => ({ standing, instant })));
  }
}

function facts(group: Group, now: GroupNow | undefined, standings: readonly Standing[], instant: Instant): string {
  const here = standings.filter(({ status }) => !["silent", "stopped", "gone", "away"].includes(status)).length;
  const parts = [group.topic, counted(group.lanes.length, "partition")];
  if (standings.length > 0) parts.push(`${here} of ${counted(standings.length, "member")}`);
  if (now && !instant.past && now.generation >= 0) parts.push(`${now.protocol === "consumer" ? "epoch" : "generation"} ${now.generation}`);
  const session = group.session_timeout_ms ?? now?.session_timeout_ms ?? null;
  if (session !== null) parts.push(`session ${span(session)}`);
  return parts.join(" · ");
}

function make(lit: (slot: number | null) => void): HTMLElement {
  const slot = (event: Event) => Number((event.currentTarget as HTMLElement).dataset.slot ?? Number.NaN);
  const on = (event: Event) => lit(Number.isNaN(slot(event)) ? null : slot(event));
  const off = () => lit(null);
  return h(
    "button",
    { type: "button", class: "key", onmouseenter: on, onmouseleave: off, onfocus: on, onblur: off },
    h("span", { class: "chip", "data-cell": "chip", "aria-hidden": "true" }),
    h("span", { class: "who", "data-cell": "name" }),
    h("span", { class: "meter", "aria-hidden": "true" }, h("i", { "data-cell": "meter" })),
    h("span", { class: "age", "data-cell": "age" }),
  );
}

function update(row: HTMLElement, { standing, instant }: Key): void {
  const mark = instant.marks.get(standing.consumer_id);
  const chip = cell(row, "chip");
  text(chip, mark?.short ?? "?");
  attribute(chip, "data-hue", mark ? String(mark.hue) : null);
  attribute(chip, "data-pattern", mark ? String(mark.pattern) : null);
  attribute(row, "data-slot", mark ? String(mark.slot) : null);
  text(cell(row, "name"), standing.consumer_id);
  attribute(row, "title", standing.consumer_id);
  const left = standing.sessionMs === null || standing.silentMs === null ? null : standing.sessionMs - standing.silentMs;
  const late = left !== null && standing.sessionMs !== null && left < standing.sessionMs / 2;
  attribute(row, "data-late", late ? "" : null);
  const share = standing.silentMs === null ? 0 : Math.min(1, standing.silentMs / (standing.sessionMs ?? 6000));
  const wide = `${Math.round(share * 100)}%`;
  const meter = cell(row, "meter");
  if (meter.style.inlineSize !== wide) meter.style.inlineSize = wide;
  text(cell(row, "age"), ageText(standing, left, late));
}

function ageText({ awayLeftMs, silentMs }: Standing, left: number | null, late: boolean): string {
  if (awayLeftMs !== null) return `away, ${duration(awayLeftMs)} left`;
  if (silentMs === null) return "";
  return late && left !== null ? `${duration(Math.max(0, left))} left` : duration(silentMs);
}

/** Who owns each lane, by slot, in the order of `group.lanes`. */
export function owners(group: Group, instant: Instant): (number | null)[] {
  return group.lanes.map(({ partition }) => {
    const id = instant.held.get(lane(group, partition))?.owners[0];
    return id === undefined ? null : (instant.marks.get(id)?.slot ?? null);
  });
}
