// The story of one rebalance, in place of the list: what happened, why, how dark, on what evidence, and what people
// noted about it.

import * as ask from "../ask";
import { causeWord } from "../causes";
import { Rows, attribute, byId, cell, h, text } from "../dom";
import { clock, count, counted, duration, listed, moment, span } from "../format";
import { instantOf } from "../instant";
import { type Model, present } from "../model";
import type { Drill, Evidence, Handover, Note, Rebalance } from "../record";
import type { Story } from "../recording";
import { type Move, frame } from "../view";
import { drawPhases, goal, phaseBar, phaseLegend } from "./phases";

/** Of the window's height: a story that begins below is scrolled to. */
const OUT_OF_SIGHT = 0.7;

export interface Doing {
  close(): void;
  move(move: Move): void;
  /** Ask for the story again. */
  again(id: string): void;
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
  const notes = noteList(doing, told);
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

/** The first sentence says what happened; it stands out. */
export function sentence(story: string): [string, boolean][] {
  const end = story.search(/\.(\s|$)/);
  return end < 0 ? [[story, true]] : [[story.slice(0, end + 1), true], [story.slice(end + 1), false]];
}

/** Longer ones may break. */
const WHOLE = 28;

function names(rebalance: Rebalance | null): string[] {
  const { subjects, handovers } = rebalance ?? { subjects: [], handovers: [] };
  const all = new Set([...subjects, ...handovers.flatMap(({ from, to }) => [from, to])]);
  return [...all].filter((name) => name !== null && name !== "" && name.length <= WHOLE).map(String).sort((a, b) => b.length - a.length);
}

/** The text with each of the names in one piece, so that no line breaks at a hyphen in it. */
function whole(said: string, known: readonly string[]): (string | HTMLElement)[] {
  const [name, ...others] = known;
  if (name === undefined) return [said];
  return said.split(name).flatMap((part, i) => [...(i > 0 ? [h("span", { class: "nb" }, name)] : []), ...whole(part, others)]);
}

export function permalink(id: string): string {
  return `/r/${encodeURIComponent(id)}`;
}

/** What the sentence does not say, or says too shortly. A number that was not measured is not there. */
export function factsOf(rebalance: Rebalance, partitions: number | null): [string, string][] {
  const confidence = { certain: "certain", likely: "likely; later facts may revise it", none: "not known" }[rebalance.confidence];
  const refused = rebalance.refusals === 0 ? "nothing of a stale owner was refused" : `${counted(rebalance.refusals, "write")} of a stale owner refused, none stored`;
  const facts: [string, string][] = [
    ["Cause", `${causeWord(rebalance.cause)}, ${confidence}`],
    ["Moved", `${count(rebalance.moved)}${partitions === null ? "" : ` of ${count(partitions)}`}, the fewest possible is ${count(rebalance.fewest)}`],
    ["Read twice", refused],
    ["Two owners", rebalance.two_owners_ms > 0 ? `${duration(rebalance.two_owners_ms)} over all partitions` : "never"],
    ["Waited", counted(rebalance.waited_records, "record")],
  ];
  if (rebalance.blind_ms > 0) facts.push(["Not recorded", `${duration(rebalance.blind_ms)} of it`]);
  const before = rebalance.members_before.length;
  const after = rebalance.members_after.length;
  facts.push(["Members", before === after ? count(before) : `${count(before)} before, ${count(after)} after`]);
  if (rebalance.generations.length > 0) {
    const first = rebalance.generations[0];
    const last = rebalance.generations.at(-1);
    facts.push([rebalance.protocol === "consumer" ? "Epochs" : "Generations", first === last ? String(first) : `${first} to ${last}`]);
  }
  for (const disagreement of rebalance.disagreements) facts.push(["Disagreement", disagreement]);
  return facts;
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

type Short = (id: string) => string;

interface Bar {
  handover: Handover;
  most: number;
  limit: number;
  short: Short;
}

/** Short names where they tell the members apart; the sentence above has the full ones. */
export function shortened(ids: readonly string[], short: Short): Short {
  const apart = new Set(ids.map(short)).size === ids.length;
  return (id) => (apart && ids.includes(id) ? short(id) : id);
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

/** "sensor-consumer-1 to sensor-consumer-2 · 5.8 s + 0.56 s + 38 ms · 323 waited" */
export function how(handover: Handover, short: Short = (id) => id): string {
  const [from, to] = [handover.from, handover.to].map((id) => (id === null ? null : short(id)));
  const who = from === to || !from ? `${to ?? "nobody"}${handover.move === "returned" ? ", returned" : ""}` : `${from} to ${to ?? "nobody"}`;
  const phases = [handover.detect_ms, handover.reassign_ms, handover.resume_ms];
  const parts = [who];
  if (phases.some((ms) => ms !== null)) parts.push(phases.map((ms) => (ms === null ? "?" : duration(ms))).join(" + "));
  if (handover.waited_records !== null) parts.push(`${count(handover.waited_records)} waited`);
  if (handover.refusals > 0) parts.push(`${count(handover.refusals)} refused`);
  return parts.join(" · ");
}

function drawEvidence(list: HTMLElement, note: HTMLElement, rebalance: Rebalance, now: Story): void {
  const facts = byTime(rebalance.evidence);
  list.replaceChildren(...facts.map(fact));
  const asking = now.told === null && now.failed === null;
  text(note, asking ? "" : `${counted(facts.filter(({ at }) => at !== null).length, "fact")}, ${facts.filter(({ at }) => at === null).length} absent`);
}

/** By time; what was absent comes last. */
export function byTime(evidence: readonly Evidence[]): Evidence[] {
  const at = (one: Evidence) => (one.at === null ? Number.POSITIVE_INFINITY : Date.parse(one.at));
  return [...evidence].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
}

function fact({ at, what, source, fact: number, clock_error_ms }: Evidence): HTMLElement {
  const parts = [source];
  if (clock_error_ms !== null && clock_error_ms > 0) parts.push(`± ${duration(clock_error_ms)}`);
  if (number !== null) parts.push(`fact ${number}`);
  return h("li", {}, h("time", { datetime: at }, at === null ? "absent" : clock(at, 3)), h("span", {}, what), h("small", {}, parts.join(" · ")));
}

function copier(name: string, what: () => Promise<string>): HTMLElement {
  const button = h("button", { type: "button", class: "btn", onclick: () => void copy() }, name);
  const say = (said: string) => {
    text(button, said);
    setTimeout(() => text(button, name), 2000);
  };
  const copy = () =>
    what()
      .then((copied) => navigator.clipboard.writeText(copied))
      .then(() => say("Copied"), () => say("Could not copy"));
  return button;
}

function noteList({ again }: Doing, told: () => Rebalance | null) {
  const list = h("ol", { class: "notes" });
  const author = h("input", { name: "author", autocomplete: "name", maxlength: "100", required: true });
  const words = h("textarea", { name: "text", rows: "2", maxlength: "4000", required: true });
  const said = h("p", { class: "small dim", role: "status" });
  author.value = localStorage.getItem("author") ?? "";
  const form = h("form", {}, h("label", {}, "Your name", author), h("label", {}, "Note", words), h("button", { class: "btn" }, "Add note"), said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = told()?.id;
    if (id === undefined) return;
    localStorage.setItem("author", author.value);
    text(said, "");
    ask.note(id, author.value, words.value).then(
      () => {
        words.value = "";
        text(said, "Added.");
        again(id);
      },
      (error: unknown) => text(said, error instanceof ask.Refused && error.status === 503 ? "This monitor does not record: the note was not kept." : "The note was not kept. Try again."),
    );
  });
  const element = h("div", { class: "block" }, h("h3", {}, "Notes"), list, form);
  return {
    element,
    draw(notes: readonly Note[], at: number) {
      list.replaceChildren(...notes.map((note) => h("li", {}, h("b", {}, note.author), h("small", {}, moment(note.at, at)), ...note.text.split("\n").map((line) => h("p", {}, line)))));
    },
  };
}

/** The story in one line, for who listens. */
export function spokenStory(rebalance: Rebalance): string {
  return `${clock(rebalance.noticed_at)} ${rebalance.group_id}. ${rebalance.story || listed(rebalance.subjects)}`;
}
