// Consumers in full: what each reads, how long ago it beat, how much it stores.

import { marks } from "../colour";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { count, duration, numbers } from "../format";
import { type Consumer, type Model, silence } from "../model";

/** The meter is full here: a dead member is noticed after its session, 6 s as it is set up. */
const FULL_MS = 6000;

export function consumers(): (model: Model) => void {
  const body = h("tbody");
  byId("consumers").append(
    h("h2", { id: "consumers-title" }, "Consumers"),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, head("Member"), head("State"), head("Reads"), head("Heartbeat"), head("Stored/s", "r"))),
      body,
    ),
  );
  const rows = new Rows<Consumer>(body, (consumer) => consumer.consumer_id, make, () => {});

  return (model) => {
    const list = model.state?.consumers ?? [];
    const known = marks(list);
    rows.draw(list);
    list.forEach((consumer, i) => {
      const row = body.children[i];
      if (!(row instanceof HTMLElement)) return;
      const mark = known.get(consumer.consumer_id);
      const chip = cell(row, "chip");
      text(chip, mark?.short ?? "?");
      attribute(chip, "data-hue", String(mark?.hue ?? 0));
      attribute(chip, "data-pattern", String(mark?.pattern ?? 0));
      text(cell(row, "state"), consumer.status);
      text(cell(row, "reads"), consumer.status === "silent" ? `had ${numbers(consumer.assigned_partitions)}` : numbers(consumer.assigned_partitions));
      heartbeat(row, model, consumer.heartbeat_age_seconds, consumer.status);
      text(cell(row, "stored"), count(consumer.stored_rows_per_second));
      attribute(row, "class", consumer.status === "silent" || consumer.status === "paused" ? "hot" : null);
    });
  };
}

/** Age of a heartbeat as a meter and in words; it goes on growing between two messages. */
export function heartbeat(row: HTMLElement, model: Model, ageSeconds: number, status: string): void {
  const age = ageSeconds * 1000 + (silence(model) ?? 0);
  text(cell(row, "age"), status === "stopped" ? "stopped" : `${duration(age)} ago`);
  const meter = cell(row, "meter");
  meter.style.inlineSize = `${Math.min(100, Math.round((age / FULL_MS) * 100))}%`;
  attribute(meter, "class", age > FULL_MS / 2 ? "hot" : null);
}

export function head(name: string, kind = ""): HTMLElement {
  return h("th", { scope: "col", class: kind }, name);
}

export function heartbeatCell(): HTMLElement {
  return h("td", { class: "beat" }, h("span", { class: "meter", "aria-hidden": "true" }, h("i", { "data-cell": "meter" })), h("span", { "data-cell": "age" }));
}

function make(consumer: Consumer): HTMLElement {
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: "name", title: consumer.consumer_id },
      h("span", { class: "chip", "data-cell": "chip", "aria-hidden": "true" }),
      h("span", {}, consumer.consumer_id),
    ),
    h("td", { class: "state", "data-cell": "state" }),
    h("td", { "data-cell": "reads" }),
    heartbeatCell(),
    h("td", { class: "r", "data-cell": "stored" }),
  );
}
