// Everything that panels say is of one instant: now, out of the stream's state; or the one that is looked at, out
// of the record. Here the two become the same thing. Pure.

import { type Mark, marks } from "./colour";
import { type Model, isPast, present, spokenOf } from "./model";
import type { Group, Partition } from "./record";
import { laneAt } from "./recording";

export interface Held {
  readonly group_id: string;
  readonly topic: string;
  readonly partition: number;
  readonly owners: readonly string[];
  /** A record waits, or would wait, that nobody reads. */
  readonly dark: boolean;
  readonly darkSince: number | null;
  readonly quiet: boolean;
  readonly lag: number | null;
}

export interface Instant {
  readonly at: number;
  readonly past: boolean;
  /** Why nothing is known of it. */
  readonly blind: string | null;
  readonly groups: readonly Group[];
  readonly held: ReadonlyMap<string, Held>;
  readonly marks: ReadonlyMap<string, Mark>;
  readonly lag: number | null;
  readonly rate: number | null;
}

export function lane(group: { group_id: string; topic: string }, partition: number): string {
  return `${group.group_id}\n${group.topic}\n${partition}`;
}

let last: { of: readonly unknown[]; made: Instant } | null = null;

export function instantOf(model: Model): Instant {
  const past = isPast(model);
  const at = spokenOf(model);
  const { near, at: told, slots } = model.recording;
  const of = [model.state, near, told, slots, past, past ? at : null];
  if (last?.of.every((value, i) => value === of[i])) return last.made;
  const groups = groupsOf(model).map((group) => withOpen(group, past ? null : model));
  const answer = past && told && Math.abs(told.at - at) < 1 ? told : null;
  const held = past ? heldThen(model, groups, at) : heldNow(model, groups);
  for (const partition of answer?.partitions ?? []) {
    held.set(lane(partition, partition.partition), { ...partition, darkSince: partition.dark_since, lag: null });
  }
  const blind = past ? (answer?.blind ?? near?.blind.find(({ from, until }) => from <= at && (until === null || at < until))?.why ?? null) : null;
  const made: Instant = {
    at,
    past,
    blind,
    groups,
    held,
    marks: marksOf(model, answer?.consumers ?? []),
    lag: past ? (answer?.lag_records ?? null) : (model.state?.metrics.lag_records ?? null),
    rate: past ? (answer?.stored_rows_per_second ?? null) : (model.state?.metrics.stored_rows_per_second ?? null),
  };
  last = { of, made };
  return made;
}

/** Groups with their lanes, in the order of the workloads; before the record answers, as the stream tells of partitions. */
function groupsOf(model: Model): readonly Group[] {
  const near = model.recording.near?.groups ?? [];
  const known = new Set(near.map(({ topic }) => topic));
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of model.state?.partitions ?? []) {
    if (!known.has(topic)) topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  }
  const workloads = model.state?.workloads ?? [];
  const place = ({ topic }: Group) => {
    const at = workloads.findIndex((workload) => workload.topic === topic);
    return at < 0 ? workloads.length : at;
  };
  const told = [...topics].map(([topic, partitions]): Group => {
    const group = model.state?.groups?.find((candidate) => candidate.topic === topic);
    return {
      group_id: workloads.find((workload) => workload.topic === topic)?.group_id ?? group?.group_id ?? topic,
      topic,
      protocol: group?.protocol ?? "",
      session_timeout_ms: group?.session_timeout_ms ?? null,
      partitions: partitions.length,
      lanes: partitions.sort((a, b) => a - b).map((partition) => ({ partition, spans: [], dark: [], two_owners: [], quiet: [] })),
    };
  });
  return [...near, ...told].sort((a, b) => place(a) - place(b));
}

/** Whether the stream tells of this group's partition; where it knows no group yet, of its topic's. */
function isOf(group: Group, { topic, group_id }: Partition): boolean {
  return topic === group.topic && (group_id ?? group.group_id) === group.group_id;
}

/** With what is dark now, by the stream's word, where the record has not told of it yet. */
function withOpen(group: Group, model: Model | null): Group {
  const told = (model?.state?.partitions ?? []).filter((partition) => partition.dark_since && isOf(group, partition));
  if (told.length === 0) return group;
  const open = model?.recording.near?.rebalances.find((rebalance) => rebalance.group_id === group.group_id && rebalance.open);
  const lanes = group.lanes.map((one) => {
    const since = told.find(({ partition }) => partition === one.partition)?.dark_since;
    if (!since || one.dark.some(({ until }) => until === null)) return one;
    const from = Date.parse(since);
    const noticed = open && open.noticed_at > from ? open.noticed_at : null;
    return { ...one, dark: [...one.dark, { from, noticed, claimed: null, until: null, rebalance: open?.id ?? null }] };
  });
  return { ...group, lanes };
}

function heldNow(model: Model, groups: readonly Group[]): Map<string, Held> {
  const held = new Map<string, Held>();
  const at = present(model);
  for (const group of groups) {
    const own = (model.state?.partitions ?? []).filter((partition) => isOf(group, partition));
    const told = new Map(own.map((partition) => [partition.partition, partition]));
    for (const one of group.lanes) {
      const now = told.get(one.partition);
      const drawn = spans(model, group, one.partition, at);
      held.set(lane(group, one.partition), {
        group_id: group.group_id,
        topic: group.topic,
        partition: one.partition,
        owners: now ? now.owners : drawn.owners,
        dark: now ? !now.read : drawn.dark,
        darkSince: now?.dark_since ? Date.parse(now.dark_since) : drawn.darkSince,
        quiet: drawn.quiet && (now?.read ?? true),
        lag: now?.lag_records ?? null,
      });
    }
  }
  return held;
}

function heldThen(model: Model, groups: readonly Group[], at: number): Map<string, Held> {
  const held = new Map<string, Held>();
  for (const group of groups) {
    for (const { partition } of group.lanes) {
      const { group_id, topic } = group;
      held.set(lane(group, partition), { group_id, topic, partition, lag: null, ...spans(model, group, partition, at) });
    }
  }
  return held;
}

function spans(model: Model, group: Group, partition: number, at: number) {
  const told = group.lanes.find((one) => one.partition === partition);
  if (!told) return { owners: [], dark: false, darkSince: null, quiet: false };
  const { slots, ...rest } = laneAt(told, at);
  const names = model.recording.near?.consumers ?? [];
  return { ...rest, owners: slots.map((slot) => names.find((name) => name.slot === slot)?.consumer_id ?? "?") };
}

/** All consumers that the page knows, by id. */
function marksOf(model: Model, more: readonly { consumer_id: string }[]): Map<string, Mark> {
  const { near, day, slots } = model.recording;
  const members = (model.state?.groups ?? []).flatMap((group) => group.members);
  const told = [...(day?.consumers ?? []), ...(near?.consumers ?? []), ...slots, ...members];
  const bySlot = new Map(told.map(({ consumer_id, slot }) => [consumer_id, slot]));
  return marks([...told, ...(model.state?.consumers ?? []), ...more], bySlot);
}
