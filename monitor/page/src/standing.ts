// How each member stands with its group at the instant: now out of the stream's state, then out of the record. Pure.

import { instantOf } from "./instant";
import { type Model, isPast, silence, spokenOf } from "./model";
import type { GroupNow, Member } from "./record";

/** How a member stands: how long it was silent, and how long until its group breaks with it. */
export interface Standing {
  readonly consumer_id: string;
  readonly group_id: string;
  readonly status: string;
  readonly reads: readonly number[];
  readonly silentMs: number | null;
  readonly sessionMs: number | null;
  readonly pollMs: number | null;
  readonly pollLimitMs: number | null;
  readonly skewMs: number | null;
  readonly staticId: string | null;
  /** Of a static member that went: how long its partitions wait for it. */
  readonly awayLeftMs: number | null;
  readonly storedPerSecond: number | null;
  readonly hot: boolean;
}

/** By group, in the order of the boards. */
export function standings(model: Model): Standing[] {
  const groups = instantOf(model).groups.map(({ group_id }) => group_id);
  const place = ({ group_id }: Standing) => (groups.includes(group_id) ? groups.indexOf(group_id) : groups.length);
  return (isPast(model) ? stoodThen(model) : standNow(model)).sort((a, b) => place(a) - place(b));
}

function standNow(model: Model): Standing[] {
  const { state } = model;
  if (!state) return [];
  // Who was not heard of because the stream is away is not late.
  const since = model.link.is === "live" ? (silence(model) ?? 0) : 0;
  const members = new Map<string, { group: GroupNow; member: Member }>();
  for (const group of state.groups ?? []) for (const member of group.members) members.set(`${group.group_id}\n${member.consumer_id}`, { group, member });
  const reporting = state.consumers.map((consumer): Standing => {
    const key = `${consumer.group_id}\n${consumer.consumer_id}`;
    const found = members.get(key);
    members.delete(key);
    const gone = consumer.status === "stopped";
    return {
      ...standing(found, since),
      consumer_id: consumer.consumer_id,
      group_id: consumer.group_id,
      status: consumer.status,
      reads: consumer.assigned_partitions,
      silentMs: gone ? null : (found?.member.heartbeat_age_ms ?? consumer.heartbeat_age_seconds * 1000) + since,
      storedPerSecond: consumer.stored_rows_per_second,
      hot: consumer.status === "silent" || consumer.status === "paused",
    };
  });
  // Members that only the brokers know, and static ones that are away.
  const others = [...members.values()].map(({ group, member }): Standing => ({
    ...standing({ group, member }, since),
    consumer_id: member.consumer_id,
    group_id: group.group_id,
    status: member.away_ms !== null ? "away" : "member",
    reads: member.partitions,
    storedPerSecond: null,
    hot: false,
  }));
  return [...reporting, ...others];
}

function standing(found: { group: GroupNow; member: Member } | undefined, since: number) {
  const session = found?.group.session_timeout_ms ?? null;
  const away = found?.member.away_ms ?? null;
  const age = (ms: number | null | undefined) => (ms === null || ms === undefined ? null : ms + since);
  return {
    silentMs: age(found?.member.heartbeat_age_ms),
    sessionMs: session,
    pollMs: age(found?.member.poll_age_ms),
    pollLimitMs: found?.group.poll_interval_ms ?? null,
    skewMs: found?.member.clock_skew_ms ?? null,
    staticId: found?.member.static_id ?? null,
    awayLeftMs: away === null || session === null ? null : Math.max(0, session - away - since),
  };
}

function stoodThen(model: Model): Standing[] {
  const { at } = model.recording;
  if (!at || Math.abs(at.at - spokenOf(model)) >= 1) return [];
  return at.consumers.map((consumer) => {
    const session = consumer.session_timeout_ms;
    const quietFor = consumer.silent_ms ?? 0;
    const silent = consumer.alive && session !== null && quietFor > session / 2;
    return {
      consumer_id: consumer.consumer_id,
      group_id: consumer.group_id,
      status: !consumer.alive ? "gone" : silent ? "silent" : "running",
      reads: consumer.partitions,
      silentMs: consumer.alive ? consumer.silent_ms : null,
      sessionMs: session,
      pollMs: null,
      pollLimitMs: null,
      skewMs: null,
      staticId: null,
      awayLeftMs: null,
      storedPerSecond: null,
      hot: silent,
    };
  });
}
