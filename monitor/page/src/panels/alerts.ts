// What is wrong with the pipeline now, each in a sentence.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import { type Model, type State, isPast } from "../model";

type Condition = State["system"]["conditions"][number];

export function alerts(): (model: Model) => void {
  const list = h("ul", { class: "alerts" });
  const section = byId("alerts");
  section.append(h("h2", { id: "alerts-title" }, "Now"), list);
  const rows = new Rows<Condition>(list, (condition) => `${condition.about}${condition.severity}`, make, update);

  return (model) => {
    const conditions = model.state?.system.conditions ?? [];
    // Of the past only what was recorded is known; and beside a story there is room for the story.
    section.hidden = conditions.length === 0 || isPast(model) || model.recording.story !== null;
    rows.draw(conditions);
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
