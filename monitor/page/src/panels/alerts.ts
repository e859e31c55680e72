// What is wrong with the pipeline now, each in a sentence.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import type { Model, State } from "../model";

type Condition = State["system"]["conditions"][number];

export function alerts(): (model: Model) => void {
  const list = h("ul", { class: "alerts" });
  const note = h("p", { class: "dim" });
  byId("alerts").append(h("h2", { id: "alerts-title" }, "Now"), list, note);
  const rows = new Rows<Condition>(list, (condition) => `${condition.about}${condition.severity}`, make, update);

  return ({ state }) => {
    const conditions = state?.system.conditions ?? [];
    rows.draw(conditions);
    text(note, !state ? "Nothing is known yet." : conditions.length === 0 ? "None." : "");
  };
}

function make(): HTMLElement {
  return h("li", {}, h("b", { "data-cell": "about" }), h("span", { "data-cell": "text" }));
}

function update(row: HTMLElement, condition: Condition): void {
  text(cell(row, "about"), condition.about);
  text(cell(row, "text"), condition.text);
  attribute(row, "class", condition.severity === "critical" ? "hot" : null);
}
