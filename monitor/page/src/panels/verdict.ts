// One sentence made from facts, and five figures beside it.

import { clock, count, counted, duration } from "../format";
import { attribute, byId, h, text } from "../dom";
import type { Model, State } from "../model";

interface Figure {
  label: string;
  value: (state: State) => string;
  note: (state: State) => string;
  hot?: (state: State) => boolean;
}

const unread = (state: State) => state.partitions.filter((partition) => !partition.read).length;

const FIGURES: Figure[] = [
  {
    label: "Unread now",
    value: (state) => count(unread(state)),
    note: (state) => `of ${counted(state.partitions.length, "partition")}`,
    hot: (state) => unread(state) > 0,
  },
  {
    label: "Lag",
    value: (state) => count(state.metrics.lag_records),
    note: () => "records wait",
  },
  {
    label: "Stored",
    value: (state) => `${count(state.metrics.stored_rows_per_second)}/s`,
    note: (state) => `${count(sent(state))}/s sent`,
  },
  {
    label: "Latency",
    value: (state) => duration(state.metrics.latency_mean_ms),
    note: (state) => `worst ${duration(state.metrics.latency_max_ms)}`,
  },
  {
    label: "Dead letters",
    value: (state) => `${count(state.metrics.dead_letters_per_second)}/s`,
    note: () => "stored aside",
    hot: (state) => state.metrics.dead_letters_per_second > 0,
  },
];

export function verdict(): (model: Model) => void {
  const headline = h("h1", {}, "Connecting to the monitor");
  const more = h("ul", { class: "conditions" });
  const cells = FIGURES.map((figure) => {
    const value = h("dd", { class: "value" }, "–");
    const note = h("dd", { class: "note" });
    return { figure, value, note, box: h("div", {}, h("dt", {}, figure.label), value, note) };
  });
  byId("verdict").append(h("div", {}, headline, more), h("dl", { id: "figures" }, ...cells.map(({ box }) => box)));

  return (model) => {
    const { state } = model;
    text(headline, sentence(model));
    attribute(headline, "class", state && state.system.status !== "healthy" ? "hot" : null);
    const rest = state?.system.conditions.slice(1).map((condition) => capital(condition.text)) ?? [];
    if (rest.join("\n") !== [...more.children].map((line) => line.textContent).join("\n")) {
      more.replaceChildren(...rest.map((line) => h("li", {}, line)));
    }
    if (!state) return;
    for (const { figure, value, note, box } of cells) {
      text(value, figure.value(state));
      text(note, figure.note(state));
      attribute(box, "class", figure.hot?.(state) ? "hot" : null);
    }
  };
}

/** The verdict; when it is not of now, of when. */
export function sentence(model: Model): string {
  const system = model.state?.system;
  if (!system) {
    return model.link.is === "down" ? "The monitor does not answer." : "Connecting to the monitor";
  }
  const healthy = system.status === "healthy" ? "Healthy: " : "";
  const said = `${healthy}${healthy ? system.summary : capital(system.summary)}.`;
  return model.link.is === "live" ? said : `As of ${clock(system.as_of)}: ${said}`;
}

function sent(state: State): number {
  return state.producers.reduce((sum, producer) => sum + producer.messages_sent_per_second, 0);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
