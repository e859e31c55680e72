// What was told of the record, and how each answer and each event changes it. Pure.
//
// An event is drawn at once, as far as it goes; the page then asks again, for the phases, the quiet spans and
// whatever else only the recorder works out (`stale`).

import type { Assignments, CurvePoint, Drill, Finding, Lane, Owned, Ownership, Rebalance, Slot, Told } from "./record";

export interface Recording {
  /** Of the window, and some time around it. */
  readonly near: Ownership | null;
  /** Of the last day, coarse. */
  readonly day: Ownership | null;
  /** Newest first, without evidence. */
  readonly rebalances: readonly Rebalance[];
  /** The list is whole back to here; -Infinity: all of it. */
  readonly reaches: number;
  /** Where it goes on; null: nowhere. */
  readonly more: string | null;
  readonly findings: readonly Finding[] | null;
  /** At the instant that one looks at. */
  readonly at: Assignments | null;
  readonly story: Story | null;
  /** How many events came that `near` may not have yet. */
  readonly stale: number;
  /** Slots that events told of. */
  readonly slots: readonly Slot[];
  /** No answer yet, or this monitor does not record. */
  readonly state: "asking" | "recording" | "none";
}

export interface Story {
  readonly id: string;
  readonly told: Told | null;
  readonly failed: string | null;
  /** How often it was asked to be told again. */
  readonly again: number;
}

export const nothing: Recording = {
  near: null,
  day: null,
  rebalances: [],
  reaches: Number.POSITIVE_INFINITY,
  more: null,
  findings: null,
  at: null,
  story: null,
  stale: 0,
  slots: [],
  state: "asking",
};

export type Answer =
  | { type: "near"; ownership: Ownership }
  | { type: "day"; ownership: Ownership }
  | { type: "rebalances"; rebalances: readonly Rebalance[]; more: string | null }
  | { type: "findings"; findings: readonly Finding[] }
  | { type: "at"; assignments: Assignments | null }
  | { type: "story"; id: string | null }
  | { type: "again" }
  | { type: "told"; told: Told }
  | { type: "untold"; id: string; why: string }
  | { type: "none" };

const REBALANCES_KEPT = 5000;

export function answered(known: Recording, answer: Answer): Recording {
  switch (answer.type) {
    case "near":
      return { ...known, near: answer.ownership, stale: 0, state: "recording" };
    case "day":
      return { ...known, day: answer.ownership, state: "recording" };
    case "rebalances":
      return {
        ...known,
        rebalances: merged(known.rebalances, answer.rebalances),
        more: answer.more,
        reaches: answer.more === null ? Number.NEGATIVE_INFINITY : Math.min(...answer.rebalances.map(({ noticed_at }) => Date.parse(noticed_at))),
      };
    case "findings":
      return { ...known, findings: answer.findings };
    case "at":
      return { ...known, at: answer.assignments };
    case "story":
      return { ...known, story: answer.id === null ? null : { id: answer.id, told: null, failed: null, again: 0 } };
    case "again":
      return { ...known, story: known.story && { ...known.story, again: known.story.again + 1 } };
    case "told":
      if (known.story?.id !== answer.told.rebalance.id) return known;
      return { ...known, story: { ...known.story, told: answer.told, failed: null } };
    case "untold":
      if (known.story?.id !== answer.id) return known;
      return { ...known, story: { ...known.story, failed: answer.why } };
    case "none":
      return { ...known, state: known.near ? known.state : "none" };
  }
}

/** A numbered event of the stream. */
export function happened(known: Recording, kind: string, body: unknown): Recording {
  switch (kind) {
    case "rebalance":
      return withRebalance(known, body as Rebalance);
    case "ownership": {
      const { changed } = body as { changed: Owned[] };
      const near = known.near && known.near.bucket_ms === null ? changed.reduce(owned, known.near) : known.near;
      return { ...known, near, stale: known.stale + 1 };
    }
    case "slot":
      return { ...known, slots: [...known.slots, body as Slot] };
    case "drill": {
      const drill = body as Drill;
      const near = known.near && { ...known.near, drills: [...known.near.drills.filter(({ id }) => id !== drill.id), drill] };
      return { ...known, near, stale: known.stale + 1 };
    }
    case "recorder":
      return { ...known, stale: known.stale + 1 };
    default:
      return known;
  }
}

/** Newest first; of two with one id, the later revision. What became a part of another is not listed beside it. */
export function merged(known: readonly Rebalance[], told: readonly Rebalance[]): readonly Rebalance[] {
  const byId = new Map(known.map((rebalance) => [rebalance.id, rebalance]));
  for (const rebalance of told) {
    if ((byId.get(rebalance.id)?.revision ?? 0) <= rebalance.revision) byId.set(rebalance.id, rebalance);
  }
  return [...byId.values()]
    .filter(({ part_of }) => part_of === null)
    .sort((a, b) => Date.parse(b.noticed_at) - Date.parse(a.noticed_at))
    .slice(0, REBALANCES_KEPT);
}

function withRebalance(known: Recording, rebalance: Rebalance): Recording {
  const rebalances = merged(known.rebalances, [rebalance]);
  const brief = {
    id: rebalance.id,
    group_id: rebalance.group_id,
    noticed_at: Date.parse(rebalance.noticed_at),
    began_at: Date.parse(rebalance.began_at),
    ended_at: rebalance.ended_at === null ? null : Date.parse(rebalance.ended_at),
    cause: rebalance.cause,
    confidence: rebalance.confidence,
    subjects: rebalance.subjects,
    dark_max_ms: rebalance.dark_max_ms,
    moved: rebalance.moved,
    open: rebalance.open,
    revision: rebalance.revision,
  };
  const told = (list: Ownership["rebalances"]) => {
    const before = list.find(({ id }) => id === brief.id);
    if (before && before.revision > brief.revision) return list;
    return [...list.filter(({ id }) => id !== brief.id), ...(rebalance.part_of === null ? [brief] : [])];
  };
  const near = known.near && { ...known.near, rebalances: told(known.near.rebalances) };
  const day = known.day && { ...known.day, rebalances: told(known.day.rebalances) };
  return { ...known, rebalances, near, day, stale: known.stale + 1 };
}

/** Draws one interval into the exact spans: the one with its owner and start is replaced. */
function owned(near: Ownership, told: Owned): Ownership {
  const slot = near.consumers.find(({ consumer_id, group_id }) => consumer_id === told.consumer_id && group_id === told.group_id)?.slot;
  if (slot === undefined) return near;
  const from = Date.parse(told.from);
  const span = { from, until: told.until === null ? null : Date.parse(told.until), slot, changes: 0 };
  const into = (lane: Lane): Lane => {
    if (lane.partition !== told.partition) return lane;
    const others = lane.spans.filter((other) => other.slot !== slot || Math.abs(other.from - from) > 1);
    return { ...lane, spans: [...others, span].sort((a, b) => a.from - b.from) };
  };
  const groups = near.groups.map((group) =>
    group.group_id === told.group_id && group.topic === told.topic ? { ...group, lanes: group.lanes.map(into) } : group,
  );
  return { ...near, groups };
}

/** Who had what at an instant, as far as the spans tell; null outside of them. */
export function laneAt(lane: Lane, at: number): { slots: number[]; dark: boolean; darkSince: number | null; quiet: boolean } {
  const holds = ({ from, until }: { from: number; until: number | null }) => from <= at && (until === null || at < until);
  const dark = lane.dark.find(holds);
  const slots = lane.spans.filter(holds).map(({ slot }) => slot);
  for (const second of lane.two_owners.filter(holds)) if (!slots.includes(second.slot)) slots.push(second.slot);
  return { slots, dark: dark !== undefined, darkSince: dark?.from ?? null, quiet: lane.quiet.some(holds) };
}

/** The last points of each group, which only the stream has told so far. */
export function tail(known: readonly CurvePoint[], more: readonly CurvePoint[]): CurvePoint[] {
  const last = known.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  return [...known, ...more.filter(({ at }) => at > last)];
}
