// What is said of a rebalance, and how.

import { causeWord } from "../causes";
import { h } from "../dom";
import { clock, count, counted, duration, listed } from "../format";
import type { Evidence, Handover, Rebalance } from "../record";

/** The first sentence says what happened; it stands out. */
export function sentence(story: string): [string, boolean][] {
  const end = story.search(/\.(\s|$)/);
  return end < 0 ? [[story, true]] : [[story.slice(0, end + 1), true], [story.slice(end + 1), false]];
}

/** Longer ones may break. */
const WHOLE = 28;

export function names(rebalance: Rebalance | null): string[] {
  const { subjects, handovers } = rebalance ?? { subjects: [], handovers: [] };
  const all = new Set([...subjects, ...handovers.flatMap(({ from, to }) => [from, to])]);
  return [...all].filter((name) => name !== null && name !== "" && name.length <= WHOLE).map(String).sort((a, b) => b.length - a.length);
}

/** The text with each of the names in one piece, so that no line breaks at a hyphen in it. */
export function whole(said: string, known: readonly string[]): (string | HTMLElement)[] {
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

export type Short = (id: string) => string;

/** Short names where they tell the members apart; the sentence above has the full ones. */
export function shortened(ids: readonly string[], short: Short): Short {
  const apart = new Set(ids.map(short)).size === ids.length;
  return (id) => (apart && ids.includes(id) ? short(id) : id);
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

/** By time; what was absent comes last. */
export function byTime(evidence: readonly Evidence[]): Evidence[] {
  const at = (one: Evidence) => (one.at === null ? Number.POSITIVE_INFINITY : Date.parse(one.at));
  return [...evidence].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
}

/** The story in one line, for who listens. */
export function spokenStory(rebalance: Rebalance): string {
  return `${clock(rebalance.noticed_at)} ${rebalance.group_id}. ${rebalance.story || listed(rebalance.subjects)}`;
}
