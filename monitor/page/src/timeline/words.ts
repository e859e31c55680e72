// The timeline in words: for screen readers, and as tables of the same window.

import { h } from "../dom";
import { clock, counted, duration, listed, moment, span } from "../format";
import { type Instant, lane } from "../instant";
import { type Model, present } from "../model";
import type { Group } from "../record";
import { edge } from "../view";

/** "Ownership timeline, 15 min up to 14:09:30 UTC, 2 groups. sensors: sensor-consumer-1 reads 0 and 3; …" */
export function describe(model: Model, instant: Instant): string {
  const until = edge(model.view, instant.at);
  const from = until - model.view.ms;
  const unread = [...instant.held.values()].filter(({ dark }) => dark).length;
  const parts = [`Ownership timeline, ${span(model.view.ms)} up to ${clock(until)} UTC, ${counted(instant.groups.length, "group")}.`];
  for (const group of instant.groups) parts.push(`${group.group_id}: ${reads(group, instant)}. ${seen(model, group, from, until)}`);
  parts.push(`${counted(unread, "partition")} unread. Brackets step through rebalances, Enter opens one, T shows a table.`);
  return parts.join(" ");
}

const LONG = 8;

function reads(group: Group, instant: Instant): string {
  const owned = new Map<string, number[]>();
  for (const { partition } of group.lanes) {
    for (const owner of instant.held.get(lane(group, partition))?.owners ?? []) owned.set(owner, [...(owned.get(owner) ?? []), partition]);
  }
  if (owned.size === 0) return "nobody reads";
  return [...owned].map(([id, partitions]) => `${id} reads ${partitions.length > LONG ? counted(partitions.length, "partition") : listed(partitions)}`).join("; ");
}

function seen(model: Model, group: Group, from: number, until: number): string {
  const inView = (model.recording.near?.rebalances ?? []).filter(({ group_id, noticed_at }) => group_id === group.group_id && noticed_at >= from && noticed_at <= until);
  const longest = Math.max(0, ...inView.map(({ dark_max_ms }) => dark_max_ms ?? 0));
  return `${counted(inView.length, "rebalance")} in view${longest > 0 ? `, longest dark time ${duration(longest)}` : ""}.`;
}

const ROWS = 2000;

/** Who owned what in the window. */
export function tables(model: Model, instant: Instant): HTMLElement[] {
  const until = edge(model.view, instant.at);
  const from = until - model.view.ms;
  const now = present(model);
  const names = new Map((model.recording.near?.consumers ?? []).map(({ slot, consumer_id }) => [slot, consumer_id]));
  const own = instant.groups.map((group) => {
    const rows = group.lanes.flatMap((one) =>
      one.spans
        .filter((held) => held.from < until && (held.until === null || held.until > from))
        .map((held) => {
          const before = one.dark.find((dark) => dark.until !== null && dark.from <= held.from + 50 && dark.until > held.from && dark.until <= (held.until ?? Number.POSITIVE_INFINITY));
          const open = one.dark.some((dark) => dark.until === null && dark.from < until);
          const dark = before?.until ? duration(before.until - before.from) : "";
          return h(
            "tr",
            {},
            h("td", {}, String(one.partition)),
            h("td", {}, names.get(held.slot) ?? "?"),
            h("td", {}, held.from < from ? "before" : moment(held.from, now, 1)),
            h("td", {}, held.until === null || held.until > until ? (open ? "not read now" : "lasts") : moment(held.until, now, 1)),
            h("td", { class: "r" }, dark),
            h("td", { class: "r" }, held.changes > 0 ? String(held.changes) : ""),
          );
        }),
    );
    return table(`${group.group_id}: who owned what from ${moment(from, now)} to ${moment(until, now)}`, ["Partition", "Owner", "From", "To", "Dark before it", "Changes inside"], rows.slice(0, ROWS));
  });
  return [...own, around(model, from, until)];
}

/** What the rail shows, in a table. */
function around(model: Model, from: number, until: number): HTMLElement {
  const { near } = model.recording;
  const now = present(model);
  const all = near
    ? [
        ...near.drills.map((drill) => ({ ...drill, what: `drill ${drill.scenario}${drill.outcome ? `: ${drill.outcome}` : ""}` })),
        ...near.brokers.map((broker) => ({ ...broker, what: `kafka${broker.broker} was down` })),
        ...near.blind.map((blind) => ({ ...blind, what: `not recorded: ${blind.why}` })),
      ]
    : [];
  const rows = all
    .filter((one) => one.from < until && (one.until === null || one.until > from))
    .sort((a, b) => a.from - b.from)
    .map((one) => h("tr", {}, h("td", {}, one.what), h("td", {}, moment(one.from, now, 1)), h("td", {}, one.until === null ? "lasts" : moment(one.until, now, 1))));
  return table("Drills, brokers and what was not recorded", ["What", "From", "To"], rows);
}

function table(caption: string, columns: readonly string[], rows: readonly HTMLElement[]): HTMLElement {
  const right = (name: string) => (name === "Dark before it" || name === "Changes inside" ? "r" : "");
  return h(
    "table",
    {},
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col", class: right(name) }, name)))),
    h("tbody", {}, ...(rows.length > 0 ? rows : [h("tr", {}, h("td", { colspan: columns.length, class: "dim" }, "None in this window."))])),
  );
}
