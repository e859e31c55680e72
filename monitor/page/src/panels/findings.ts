// Findings: what the recorder noticed over many rebalances, each with its evidence and what to do. Worst first.

import { Rows, attribute, byId, cell, h, text } from "../dom";
import { counted, moment } from "../format";
import { present, spokenOf } from "../model";
import type { Model } from "../model";
import type { Finding } from "../record";

export function findings(open: (id: string) => void): (model: Model) => void {
  const list = h("ul", { class: "findings" });
  const note = h("p", { class: "dim" });
  const section = byId("findings");
  section.append(h("h2", { id: "findings-title" }, "Findings"), list, note);
  const rows = new Rows<Finding>(list, ({ kind, group_id, title }) => `${kind}\n${group_id}\n${title}`, () => make(open), () => {});
  let drawn: readonly unknown[] = [];

  return (model) => {
    const told = model.recording.findings;
    const at = spokenOf(model);
    const known = (told ?? []).filter((finding) => Date.parse(finding.at) <= at);
    section.hidden = told === null || model.recording.story !== null;
    const key = [told, known.length];
    if (key.every((part, i) => part === drawn[i])) return;
    drawn = key;
    rows.draw(known);
    known.forEach((finding, i) => {
      const row = list.children[i];
      if (row instanceof HTMLElement) update(row, finding, present(model));
    });
    text(note, known.length === 0 ? "None in 24 h." : "");
  };
}

function make(open: (id: string) => void): HTMLElement {
  const show = h("button", { type: "button", class: "link", "data-cell": "open", onclick: () => open(show.dataset.id ?? "") });
  return h(
    "li",
    {},
    h("time", { "data-cell": "at" }),
    h("b", { "data-cell": "title" }),
    h("p", { "data-cell": "evidence" }),
    h("p", { class: "advice", "data-cell": "advice" }),
    show,
  );
}

function update(row: HTMLElement, finding: Finding, now: number): void {
  const at = cell(row, "at");
  text(at, moment(finding.at, now));
  attribute(at, "datetime", finding.at);
  text(cell(row, "title"), finding.title);
  text(cell(row, "evidence"), finding.evidence);
  text(cell(row, "advice"), finding.advice);
  const show = cell(row, "open");
  const last = finding.rebalances.at(-1);
  show.hidden = last === undefined;
  show.dataset.id = last ?? "";
  text(show, finding.rebalances.length > 1 ? `Open the last of its ${counted(finding.rebalances.length, "rebalance")}` : "Open the rebalance");
}
