// What happened: rebalances, newest first, up to the instant; a row opens its story.

import { causeWord, clause, glyph } from "../causes";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { count, counted, duration, moment, span } from "../format";
import { instantOf } from "../instant";
import { type Model, present, spokenOf } from "../model";
import type { Handover, Rebalance } from "../record";
import { DAY } from "../view";
import { drawPhases, goal, phaseBar, phaseLegend } from "./phases";

const SHOWN = 9;
const MORE = 60;

interface Row {
  rebalance: Rebalance;
  scale: number;
  goal: number;
  now: number;
}

export function happened(open: (id: string) => void): (model: Model) => void {
  const filters = h("div", { class: "seg small", role: "group", "aria-label": "Group" });
  const list = h("ol", { class: "rebalances" });
  const note = h("p", { class: "small dim" });
  const more = h("button", { type: "button", class: "btn", hidden: true }, "Show more");
  const section = byId("happened");
  const title = h("h2", { id: "happened-title" }, "What happened");
  const legend = phaseLegend();
  section.append(h("div", { class: "headline" }, title, filters), legend, list, more, note);
  const rows = new Rows<Row>(list, ({ rebalance }) => rebalance.id, (row) => make(row, open), update);
  let group: string | null = null;
  let shown = SHOWN;
  let pointed = false;
  let drawn: readonly unknown[] = [];
  list.addEventListener("pointerenter", () => (pointed = true));
  list.addEventListener("pointerleave", () => (pointed = false));
  more.addEventListener("click", () => (shown = shown === SHOWN ? MORE : SHOWN));

  const choose = (name: string | null) => () => {
    group = name;
    drawn = [];
  };
  return (model) => {
    section.hidden = model.recording.story !== null;
    const at = spokenOf(model);
    const groups = instantOf(model).groups.map(({ group_id }) => group_id);
    drawFilters(filters, groups, group, choose);
    const all = model.recording.rebalances;
    const until = all.filter(({ noticed_at }) => Date.parse(noticed_at) <= at);
    const listed = until.filter(({ group_id }) => group === null || group_id === group);
    const key = [all, listed.length, listed[0], group, shown, Math.floor(present(model) / DAY), model.recording.state];
    // A row keeps its place while somebody points at it.
    if (key.every((part, i) => part === drawn[i]) || (pointed && drawn.length > 0 && shown === drawn[4] && group === drawn[3])) return;
    drawn = key;
    const top = listed.slice(0, shown);
    const sessions = new Map(instantOf(model).groups.map(({ group_id, session_timeout_ms }) => [group_id, session_timeout_ms]));
    const scale = Math.max(2000, ...top.map(({ group_id }) => goal(sessions.get(group_id)) + 1000));
    rows.draw(top.map((rebalance) => ({ rebalance, scale, goal: goal(sessions.get(rebalance.group_id)), now: present(model) })));
    more.hidden = listed.length <= SHOWN;
    text(more, shown === SHOWN ? "Show more" : "Show fewer");
    legend.hidden = listed.length === 0;
    const day = listed.filter(({ noticed_at }) => Date.parse(noticed_at) > at - DAY).length;
    text(note, listed.length === 0 ? nothing(model) : `${count(day)} in 24 h · bars to ${span(scale)}`);
  };
}

function nothing(model: Model): string {
  switch (model.recording.state) {
    case "asking":
      return "Nothing is known yet.";
    case "none":
      return "This monitor does not record rebalances.";
    case "recording":
      return "No rebalance was recorded up to here.";
  }
}

function drawFilters(element: HTMLElement, groups: readonly string[], chosen: string | null, choose: (name: string | null) => () => void): void {
  element.hidden = groups.length < 2;
  const wanted: (string | null)[] = [null, ...groups];
  if (element.dataset.groups !== wanted.join("\n")) {
    element.dataset.groups = wanted.join("\n");
    element.replaceChildren(...wanted.map((name) => h("button", { type: "button", title: name, onclick: choose(name) }, name ?? "All")));
  }
  [...element.children].forEach((button, i) => attribute(button, "aria-pressed", String(wanted[i] === chosen)));
}

/** The handover that was dark the longest: its phases stand for the rebalance. */
export function longest(handovers: readonly Handover[]): Handover | null {
  return handovers.reduce<Handover | null>((worst, one) => ((one.dark_ms ?? -1) > (worst?.dark_ms ?? -1) ? one : worst), null);
}

function make({ rebalance }: Row, open: (id: string) => void): HTMLElement {
  const { id } = rebalance;
  return h(
    "li",
    { "data-id": id },
    h(
      "button",
      { type: "button", class: "rebalance", onclick: () => open(id) },
      h("time", { "data-cell": "at" }),
      h("span", { class: "what" }, h("span", { "data-cell": "glyph" }), h("b", { "data-cell": "who" }), h("span", { class: "dim", "data-cell": "cause" })),
      h("b", { class: "worst", "data-cell": "worst" }),
      h("small", { class: "group", "data-cell": "group" }),
      phaseBar(),
      h("small", { class: "moved", "data-cell": "moved" }),
    ),
  );
}

function update(row: HTMLElement, { rebalance, scale, goal: limit, now }: Row): void {
  const time = cell(row, "at");
  text(time, moment(rebalance.noticed_at, now));
  attribute(time, "datetime", rebalance.noticed_at);
  const mark = cell(row, "glyph");
  if (mark.dataset.cause !== rebalance.cause) {
    mark.dataset.cause = rebalance.cause;
    mark.replaceChildren(glyph(rebalance.cause));
  }
  text(cell(row, "who"), rebalance.subjects.length > 2 ? counted(rebalance.subjects.length, "member") : rebalance.subjects.join(", "));
  text(cell(row, "cause"), ` ${causeWord(rebalance.cause)}${rebalance.confidence === "likely" ? ", likely" : ""}`);
  attribute(row, "title", clause(rebalance));
  text(cell(row, "group"), rebalance.group_id);
  const worst = cell(row, "worst");
  text(worst, rebalance.open ? "lasts" : duration(rebalance.dark_max_ms));
  attribute(worst, "class", rebalance.open || (rebalance.dark_max_ms ?? 0) > limit ? "worst hot" : "worst");
  text(cell(row, "moved"), rebalance.moved === 0 ? "none moved" : `${count(rebalance.moved)} moved`);
  const bar = row.querySelector<HTMLElement>(".phases");
  const one = longest(rebalance.handovers);
  if (bar) drawPhases(bar, one ?? { dark_ms: rebalance.dark_max_ms, detect_ms: null, reassign_ms: null, resume_ms: null }, scale, limit);
}
