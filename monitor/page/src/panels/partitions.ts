// A lane per partition: who reads it, in which state, how much, how far behind.

import { type Mark, marks } from "../colour";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { count, counted } from "../format";
import type { Model, Partition } from "../model";

export function partitions(): (model: Model) => void {
  const body = h("tbody");
  const note = h("small");
  byId("partitions").append(
    h("h2", { id: "partitions-title" }, "Partitions ", note),
    h(
      "table",
      { class: "lanes" },
      h("caption", { class: "sr" }, "Each partition with its owner, state, rate and lag"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...["", "Owner", "State", "Stored/s", "Offset", "Lag"].map((name, i) =>
            h("th", { scope: "col", class: i === 3 ? "bar-head" : i > 3 ? "r" : "" }, name || h("span", { class: "sr" }, "Partition")),
          ),
        ),
      ),
      body,
    ),
  );
  const rows = new Rows<Partition>(body, (partition) => `${partition.topic}/${partition.partition}`, make, () => {});

  return ({ state }) => {
    const list = state?.partitions ?? [];
    const known = marks(state?.consumers ?? []);
    const most = Math.max(1, ...list.map((partition) => partition.stored_rows_per_second));
    const topics = new Set(list.map((partition) => partition.topic));
    text(note, state ? `${[...topics].join(", ")} · ${counted(list.length, "partition")}` : "nothing is known yet");
    rows.draw(list);
    list.forEach((partition, i) => {
      const row = body.children[i];
      if (row instanceof HTMLElement) update(row, partition, known, most);
    });
  };
}

function make(partition: Partition): HTMLElement {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, String(partition.partition)),
    h("td", {}, h("span", { class: "owner", "data-cell": "owner" }, h("span", { "data-cell": "full" }), h("span", { "data-cell": "short", "aria-hidden": "true" }))),
    h("td", { class: "state", "data-cell": "state" }),
    h("td", { class: "lane" }, h("span", { class: "fill", "data-cell": "fill" }), h("span", { "data-cell": "rate" })),
    h("td", { class: "r dim", "data-cell": "offset" }),
    h("td", { class: "r", "data-cell": "lag" }),
  );
}

function update(row: HTMLElement, partition: Partition, known: Map<string, Mark>, most: number): void {
  const owner = cell(row, "owner");
  const mark = partition.owners[0] === undefined ? undefined : known.get(partition.owners[0]);
  const names = partition.owners.length === 0 ? "nobody" : partition.owners.join(" and ");
  text(cell(row, "full"), names);
  // Where there is no room for names.
  text(cell(row, "short"), partition.owners.map((id) => known.get(id)?.short ?? "?").join(" ") || "nobody");
  attribute(owner, "title", names);
  attribute(owner, "data-hue", mark ? String(mark.hue) : null);
  attribute(owner, "data-pattern", mark ? String(mark.pattern) : null);
  const fill = cell(row, "fill");
  fill.style.inlineSize = `${Math.round((partition.stored_rows_per_second / most) * 100)}%`;
  const reason = partition.reason ? `: ${partition.reason}` : "";
  text(cell(row, "state"), `${partition.state}${reason}`);
  attribute(cell(row, "state"), "title", `${partition.state}${reason}`);
  text(cell(row, "rate"), count(partition.stored_rows_per_second));
  text(cell(row, "offset"), count(partition.stored_offset));
  text(cell(row, "lag"), count(partition.lag_records));
  attribute(row, "class", partition.read ? null : "hot");
}
