// The story of one rebalance, in place of the list: what happened, why, how dark, on what evidence, and what people
// noted about it.

import * as ask from "../ask";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { clock, counted, duration, moment, span } from "../format";
import { instantOf } from "../instant";
import { type Model, present } from "../model";
import type { Drill, Evidence, Handover, Rebalance } from "../record";
import type { Story } from "../recording";
import { copier } from "../story/copy";
import { noteList } from "../story/notes";
import { type Short, byTime, factsOf, how, names, permalink, sentence, shortened, whole } from "../story/words";
import { type Move, frame } from "../view";
import { drawPhases, goal, phaseBar, phaseLegend } from "./phases";

/** Of the window's height: a story that begins below is scrolled to. */
const OUT_OF_SIGHT = 0.7;

export interface Doing {
  close(): void;
  move(move: Move): void;
  /** Ask for the story again. */
  again(): void;
}

export function story(doing: Doing): (model: Model) => void {
  const section = byId("story");
  const parts = build(doing, () => told);
  section.append(...parts.elements);
  let told: Rebalance | null = null;
  let drawn: readonly unknown[] = [];
  let opened: string | null = null;

  return (model) => {
    const { story: now } = model.recording;
    section.hidden = now === null;
    if (!now) {
      opened = null;
      return;
    }
    told = now.told?.rebalance ?? model.recording.rebalances.find(({ id }) => id === now.id) ?? null;
    const session = instantOf(model).groups.find(({ group_id }) => group_id === told?.group_id)?.session_timeout_ms ?? null;
    const partitions = instantOf(model).groups.find(({ group_id }) => group_id === told?.group_id)?.lanes.length ?? null;
    text(parts.zoom, model.view.back ? "Zoom back" : "Zoom to it");
    const key = [now, told, session, partitions];
    if (!key.every((part, i) => part === drawn[i])) {
      drawn = key;
      const { marks } = instantOf(model);
      parts.draw(now, told, goal(session), partitions, present(model), shortened(names(told), (id) => marks.get(id)?.short ?? id));
    }
    if (opened !== now.id) {
      opened = now.id;
      const { top } = section.getBoundingClientRect();
      if (top < 0 || top > innerHeight * OUT_OF_SIGHT) section.scrollIntoView({ block: "start" });
      parts.title.focus({ preventScroll: true });
    }
  };
}

function build(doing: Doing, told: () => Rebalance | null) {
  const title = h("h2", { id: "story-title", tabindex: "-1" });
  const where = h("span", { class: "small dim" });
  const drill = h("p", { class: "drill", hidden: true });
  const facts = h("dl", { class: "facts" });
  const zoom = h("button", { type: "button", class: "btn", onclick: () => frameIt(told(), doing) }, "Zoom to it");
  const link = copier("Copy link", () => Promise.resolve(location.origin + permalink(told()?.id ?? "")));
  const markdown = copier("Copy as Markdown", () => ask.report(told()?.id ?? ""));
  const scale = h("small");
  const bars = h("ol", { class: "handovers" });
  const sources = h("small");
  const evidence = h("ol", { class: "evidence" });
  const failed = h("p", { class: "dim", hidden: true });
  const notes = noteList(doing.again, told);
  const phases = h("div", { class: "block" }, h("h3", {}, "Dark time ", scale), phaseLegend(), bars);
  const acts = h("div", { class: "acts" }, link, markdown, zoom);
  const facing = h("div", { class: "block" }, h("h3", {}, "Evidence ", sources), evidence);
  const elements = [
    h("div", { class: "headline" }, h("button", { type: "button", class: "btn", onclick: () => doing.close() }, "All rebalances"), where),
    title,
    drill,
    facts,
    acts,
    failed,
    phases,
    facing,
    notes.element,
  ];
  const barRows = new Rows<Bar>(bars, ({ handover }) => `${handover.topic} ${handover.partition}`, makeBar, updateBar);

  return {
    elements,
    title,
    zoom,
    draw(now: Story, rebalance: Rebalance | null, limit: number, partitions: number | null, at: number, short: Short) {
      for (const part of [facts, acts, phases, facing, notes.element]) part.hidden = rebalance === null;
      failed.hidden = now.told !== null;
      text(failed, now.failed ?? "Looking it up");
      if (!rebalance) {
        title.replaceChildren(now.failed === null ? "One moment" : "This rebalance is not known here.");
        text(where, now.id);
        drill.hidden = true;
        return;
      }
      const named = names(rebalance);
      title.replaceChildren(...sentence(rebalance.story).map(([said, strong]) => h(strong ? "em" : "span", {}, ...whole(said, named))));
      text(where, `${rebalance.group_id} · ${moment(rebalance.noticed_at, at, 1)}${rebalance.revision > 1 ? ` · revision ${rebalance.revision}` : ""}`);
      drawDrill(drill, now.told?.drill ?? null);
      facts.replaceChildren(...factsOf(rebalance, partitions).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
      const most = Math.max(limit + 1000, rebalance.dark_max_ms ?? 0);
      phases.hidden = rebalance.handovers.length === 0;
      text(scale, `scale 0 to ${span(most)}, goal ${span(limit)}`);
      barRows.draw(rebalance.handovers.map((handover) => ({ handover, most, limit, short })));
      drawEvidence(evidence, sources, rebalance, now);
      notes.draw(now.told?.notes ?? [], at);
    },
  };
}

function frameIt(rebalance: Rebalance | null, { move }: Doing): void {
  if (rebalance) move(frameOf(rebalance));
}

export function frameOf(rebalance: Rebalance): Move {
  const dark = rebalance.handovers.map(({ dark_from }) => (dark_from === null ? Number.POSITIVE_INFINITY : Date.parse(dark_from)));
  const began = Math.min(Date.parse(rebalance.began_at), ...dark);
  return frame(began, Date.parse(rebalance.noticed_at), rebalance.ended_at === null ? null : Date.parse(rebalance.ended_at));
}

function drawDrill(element: HTMLElement, drill: Drill | null): void {
  element.hidden = drill === null;
  if (!drill) return;
  const outcome = drill.outcome ?? "still going on";
  element.replaceChildren(h("b", {}, `Drill ${drill.scenario}: ${outcome}. `), drill.detail ?? "");
  attribute(element, "data-outcome", drill.outcome);
}

function makeBar(): HTMLElement {
  return h("li", {}, h("span", { "data-cell": "partition" }), phaseBar(), h("b", { "data-cell": "dark" }), h("small", { "data-cell": "how" }));
}

interface Bar {
  handover: Handover;
  most: number;
  limit: number;
  short: Short;
}

function updateBar(row: HTMLElement, { handover, most, limit, short }: Bar): void {
  text(cell(row, "partition"), `p${handover.partition}`);
  const dark = cell(row, "dark");
  text(dark, handover.quiet ? "quiet" : handover.dark_ms === null ? "–" : `${duration(handover.dark_ms)}${handover.open ? " so far" : ""}`);
  attribute(dark, "class", handover.open || (handover.dark_ms ?? 0) > limit ? "hot" : null);
  text(cell(row, "how"), how(handover, short));
  attribute(row, "title", how(handover));
  const bar = row.querySelector<HTMLElement>(".phases");
  if (bar) drawPhases(bar, handover, most, limit);
}

function drawEvidence(list: HTMLElement, note: HTMLElement, rebalance: Rebalance, now: Story): void {
  const facts = byTime(rebalance.evidence);
  list.replaceChildren(...facts.map(fact));
  const asking = now.told === null && now.failed === null;
  text(note, asking ? "" : `${counted(facts.filter(({ at }) => at !== null).length, "fact")}, ${facts.filter(({ at }) => at === null).length} absent`);
}

function fact({ at, what, source, fact: number, clock_error_ms }: Evidence): HTMLElement {
  const parts = [source];
  if (clock_error_ms !== null && clock_error_ms > 0) parts.push(`± ${duration(clock_error_ms)}`);
  if (number !== null) parts.push(`fact ${number}`);
  return h("li", {}, h("time", { datetime: at }, at === null ? "absent" : clock(at, 3)), h("span", {}, what), h("small", {}, parts.join(" · ")));
}
