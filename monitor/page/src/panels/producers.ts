// Producers: connected or not, how fast they send, what waits in their queues.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import { count } from "../format";
import { type Model, type Producer, isPast } from "../model";
import { head, heartbeat, heartbeatCell } from "./consumers";

export function producers(): (model: Model) => void {
  const body = h("tbody");
  const note = h("p", { class: "dim", hidden: true }, "How they were then is not recorded.");
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, head("Producer"), head("Kafka"), head("Heartbeat"), head("Sent/s", "r"), head("Waiting", "r roomy-cell"))),
    body,
  );
  const section = byId("producers");
  section.append(h("h2", { id: "producers-title" }, "Producers"), table, note);
  const rows = new Rows<Producer>(body, (producer) => producer.producer_id, make, () => {});

  return (model) => {
    table.hidden = isPast(model);
    note.hidden = !table.hidden;
    if (table.hidden) return;
    const list = model.state?.producers ?? [];
    section.hidden = list.length === 0;
    rows.draw(list);
    list.forEach((producer, i) => {
      const row = body.children[i];
      if (!(row instanceof HTMLElement)) return;
      const alive = producer.status !== "silent" && producer.status !== "stopped";
      text(cell(row, "state"), alive ? producer.connection_status : producer.status);
      heartbeat(row, model, producer.heartbeat_age_seconds, producer.status);
      text(cell(row, "sent"), count(producer.messages_sent_per_second));
      text(cell(row, "waiting"), count(producer.messages_waiting));
      const well = producer.status === "running" && producer.connection_status === "connected";
      attribute(row, "class", well || producer.status === "stopped" ? null : "hot");
    });
  };
}

function make(producer: Producer): HTMLElement {
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "name", title: producer.producer_id }, h("span", {}, producer.producer_id)),
    h("td", { class: "state", "data-cell": "state" }),
    heartbeatCell(),
    h("td", { class: "r", "data-cell": "sent" }),
    h("td", { class: "r roomy-cell", "data-cell": "waiting" }),
  );
}
