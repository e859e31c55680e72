// Beside the lanes: their numbers at the left; at the right owner and lag, at the instant.

import { Rows, attribute, cell, h, text } from "../dom";
import { count } from "../format";
import { type Held, type Instant, lane as laneKey } from "../instant";
import type { Group } from "../record";
import { type Layout, MANY_LANES } from "./geometry";

interface Label {
  key: string;
  y: number;
  text: string;
}

interface Row extends Label {
  /** dark, quiet, blind, nobody, or owned. */
  is: string;
  full: string;
  slot: { hue: number; pattern: number } | null;
  figure: string;
}

export class Gutter {
  readonly left = h("div", { class: "glab", "aria-hidden": "true" });
  readonly right = h("div", { class: "grt", "aria-hidden": "true" });
  private readonly labels = new Rows<Label>(this.left, ({ key }) => key, () => h("span"), (row, label) => {
    place(row, label.y);
    text(row, label.text);
  });
  private readonly rows = new Rows<Row>(this.right, ({ key }) => key, make, update);

  draw(group: Group, layout: Layout, instant: Instant, tops: { rate: string; lag: string }, now: { rate: string; lag: string }): void {
    const middle = layout.bar / 2 - 7;
    const every = group.lanes.length > MANY_LANES ? 8 : 1;
    const labels: Label[] =
      layout.blocks.length > 0
        ? layout.blocks.map((block, i) => ({ key: `b${i}`, y: block.y - 1, text: ownerName(instant, block.slot) }))
        : layout.order.flatMap((lane, i) => (i % every === 0 ? [{ key: `p${lane}`, y: (layout.y[lane] ?? 0) + middle, text: String(group.lanes[lane]?.partition ?? "") }] : []));
    const half = layout.curve / 2;
    this.labels.draw([
      ...labels,
      { key: "rate", y: layout.rate - 1, text: "rate" },
      { key: "rate top", y: layout.rate + half - 1, text: tops.rate },
      { key: "lag", y: layout.lag - 1, text: "lag" },
      { key: "lag top", y: layout.lag + half - 1, text: tops.lag },
    ]);
    const heading = (key: string, full: string, figure: string): Row => ({ key, y: layout.top - 18, text: full, is: "head", full: "", slot: null, figure });
    const rows =
      group.lanes.length > MANY_LANES
        ? [heading("head", "member", "partitions"), ...byMember(group, layout, instant)]
        : [heading("head", "owner", instant.past ? "" : "lag"), ...group.lanes.map((one, i) => byLane(group, one.partition, (layout.y[i] ?? 0) + middle, instant))];
    const figure = (key: string, y: number, value: string): Row => ({ key, y: y + half - 7, text: value, is: "figure", full: "", slot: null, figure: "" });
    this.rows.draw([...rows, figure("rate", layout.rate, now.rate), figure("lag", layout.lag, now.lag)]);
  }
}

function byLane(group: Group, partition: number, y: number, instant: Instant): Row {
  const held = instant.held.get(laneKey(group, partition));
  const mark = held?.owners[0] === undefined ? undefined : instant.marks.get(held.owners[0]);
  const is = stateOf(held, instant);
  const shorts = (held?.owners ?? []).map((id) => instant.marks.get(id)?.short ?? "?").join(" ");
  const words: Record<string, string> = { blind: "unknown", dark: shorts === "" ? "no owner" : "not read", quiet: "quiet", nobody: "no owner" };
  return {
    key: String(partition),
    y,
    is,
    text: words[is] ?? shorts,
    full: held && held.owners.length > 0 ? held.owners.join(" and ") : "nobody",
    slot: mark ?? null,
    figure: is === "blind" || held?.lag === null || held?.lag === undefined ? "" : count(held.lag),
  };
}

export function stateOf(held: Held | undefined, instant: Instant): string {
  if (!held || instant.blind !== null) return "blind";
  if (held.dark) return "dark";
  if (held.owners.length === 0) return "nobody";
  return held.quiet ? "quiet" : "owned";
}

/** Too many lanes for a line each: one for each owner. */
function byMember(group: Group, layout: Layout, instant: Instant): Row[] {
  const owned = new Map<string, number>();
  for (const { partition } of group.lanes) {
    const owner = instant.held.get(laneKey(group, partition))?.owners[0] ?? "";
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  const members = [...owned].map(([id, partitions]) => ({ id, partitions, mark: instant.marks.get(id) ?? null }));
  members.sort((a, b) => (a.mark?.slot ?? 999) - (b.mark?.slot ?? 999));
  const apart = Math.max(14, (layout.lanesEnd - layout.top) / Math.max(1, members.length));
  return members.map(({ id, partitions, mark }, i) => {
    const block = layout.blocks.find(({ slot }) => slot === (mark?.slot ?? null));
    return {
      key: `m${id}`,
      y: block ? block.y - 1 : layout.top + i * apart,
      is: id === "" ? "nobody" : "owned",
      text: mark?.short ?? "no owner",
      full: "",
      slot: mark,
      figure: count(partitions),
    };
  });
}

function ownerName(instant: Instant, slot: number | null): string {
  if (slot === null) return "none";
  for (const mark of instant.marks.values()) if (mark.slot === slot) return mark.short;
  return "?";
}

function make(row: Row): HTMLElement {
  if (row.is === "head" || row.is === "figure") return h("div", { class: row.is }, h("span", { "data-cell": "short" }), h("em", { "data-cell": "figure" }));
  return h(
    "div",
    {},
    h("i", { class: "swatch", "data-cell": "swatch" }),
    row.full === "" ? false : h("span", { class: "full", "data-cell": "full" }),
    h("span", { class: "short", "data-cell": "short" }),
    h("em", { "data-cell": "figure" }),
  );
}

function update(element: HTMLElement, row: Row): void {
  place(element, row.y);
  text(cell(element, "short"), row.text);
  text(cell(element, "figure"), row.figure);
  if (row.is === "head" || row.is === "figure") return;
  attribute(element, "data-is", row.is);
  const swatch = cell(element, "swatch");
  attribute(swatch, "data-hue", row.slot ? String(row.slot.hue) : null);
  attribute(swatch, "data-pattern", row.slot ? String(row.slot.pattern) : null);
  if (row.full !== "") {
    text(cell(element, "full"), row.full);
    attribute(element, "title", row.full);
  }
}

const placed = new WeakMap<HTMLElement, number>();
function place(element: HTMLElement, y: number): void {
  if (placed.get(element) === y) return;
  placed.set(element, y);
  element.style.top = `${y}px`;
}
