// What the recorder tells. Written by hand until openapi.json has these types; then they are its `components`.
//
// Times are milliseconds since the epoch, UTC, by the database's clock; inside verdicts (Rebalance, Handover,
// Evidence, Owned) they are RFC 3339. A span without an end lasts.

import type { components } from "./openapi";

export interface Span {
  from: number;
  until: number | null;
  slot: number;
  /** Owner changes inside, where a span is a run of buckets; else 0. */
  changes: number;
}

/** A record waited that nobody read: `from` detect `noticed` reassign `claimed` resume `until`. */
export interface Dark {
  from: number;
  noticed: number | null;
  claimed: number | null;
  until: number | null;
  rebalance: string | null;
}

export interface Stretch {
  from: number;
  until: number | null;
}

export interface Lane {
  partition: number;
  spans: Span[];
  dark: Dark[];
  /** Of the second, stale owner. */
  two_owners: (Stretch & { slot: number })[];
  quiet: Stretch[];
}

export interface Group {
  group_id: string;
  topic: string;
  protocol: string;
  session_timeout_ms: number | null;
  partitions: number;
  lanes: Lane[];
}

export interface Slot {
  slot: number;
  consumer_id: string;
  group_id: string;
}

export interface Drill extends Stretch {
  id: number;
  scenario: string;
  outcome: "passed" | "failed" | null;
  detail: string | null;
}

export type Blind = Stretch & { why: string };

export interface CurvePoint {
  at: number;
  stored_rows_per_second: number | null;
  lag_records: number | null;
}

/** A rebalance as the timeline needs it. */
export interface Brief {
  id: string;
  group_id: string;
  noticed_at: number;
  began_at: number;
  ended_at: number | null;
  cause: Cause;
  confidence: Confidence;
  subjects: string[];
  dark_max_ms: number | null;
  moved: number;
  open: boolean;
  revision: number;
}

/** GET /api/ownership */
export interface Ownership {
  from: number;
  to: number;
  as_of: number;
  recorded_since: number | null;
  bucket_ms: number | null;
  consumers: Slot[];
  groups: Group[];
  blind: Blind[];
  brokers: (Stretch & { broker: number })[];
  drills: Drill[];
  curves: { group_id: string; points: CurvePoint[] }[];
  rebalances: Brief[];
}

export type Cause =
  | "crash"
  | "clean_leave"
  | "join"
  | "rolling_restart"
  | "session_timed_out"
  | "poll_interval_exceeded"
  | "fenced"
  | "metadata_changed"
  | "topic_recreated"
  | "broker_lost"
  | "static_member_returned"
  | "unknown";
export type Confidence = "certain" | "likely" | "none";

export interface Handover {
  topic: string;
  partition: number;
  move: "moved" | "returned" | "kept" | "first" | "orphaned";
  from: string | null;
  to: string | null;
  last_stored_at: string | null;
  dark_from: string | null;
  assigned_at: string | null;
  claimed_at: string | null;
  stored_at: string | null;
  commit_times: boolean;
  dark_ms: number | null;
  detect_ms: number | null;
  reassign_ms: number | null;
  resume_ms: number | null;
  quiet: boolean;
  open: boolean;
  waited_records: number | null;
  refusals: number;
}

export interface Evidence {
  at: string | null;
  clock_error_ms: number | null;
  source: string;
  fact: number | null;
  what: string;
}

export interface Rebalance {
  id: string;
  group_id: string;
  topic: string;
  protocol: string;
  revision: number;
  open: boolean;
  cause: Cause;
  confidence: Confidence;
  subjects: string[];
  began_at: string;
  noticed_at: string;
  ended_at: string | null;
  generations: number[];
  members_before: string[];
  members_after: string[];
  moved: number;
  fewest: number;
  handovers: Handover[];
  dark_max_ms: number | null;
  dark_sum_ms: number;
  waited_records: number;
  refusals: number;
  two_owners_ms: number;
  blind_ms: number;
  disagreements: string[];
  evidence: Evidence[];
  story: string;
  part_of: string | null;
}

/** An interval of the `ownership` event, named by `fact`. */
export interface Owned {
  group_id: string;
  topic: string;
  partition: number;
  consumer_id: string;
  from: string;
  until: string | null;
  fact: number;
}

export interface Note {
  at: number;
  author: string;
  text: string;
}

/** GET /api/rebalances/{id} */
export interface Told {
  rebalance: Rebalance;
  notes: Note[];
  drill: Drill | null;
}

/** GET /api/rebalances */
export interface Rebalances {
  as_of: number;
  rebalances: Rebalance[];
  next_cursor: string | null;
}

/** GET /api/assignments */
export interface Assignments {
  at: number;
  blind: string | null;
  partitions: {
    group_id: string;
    topic: string;
    partition: number;
    owners: string[];
    dark: boolean;
    dark_since: number | null;
    quiet: boolean;
  }[];
  consumers: {
    consumer_id: string;
    group_id: string;
    alive: boolean;
    silent_ms: number | null;
    session_timeout_ms: number | null;
    partitions: number[];
  }[];
  lag_records: number | null;
  stored_rows_per_second: number | null;
}

export interface Finding {
  kind: string;
  group_id: string;
  at: string;
  title: string;
  evidence: string;
  advice: string;
  rebalances: string[];
}

export interface Member {
  consumer_id: string;
  slot: number;
  boot_id: string;
  member_id: string;
  static_id: string | null;
  partitions: number[];
  heartbeat_age_ms: number | null;
  poll_age_ms: number | null;
  clock_skew_ms: number | null;
  /** A static member that went and may still come back: how long ago. */
  away_ms: number | null;
}

/** Of GET /api/groups, and of `state`. */
export interface GroupNow {
  group_id: string;
  topic: string;
  protocol: string;
  state: string;
  generation: number;
  session_timeout_ms: number | null;
  poll_interval_ms: number | null;
  recorded_since: number | string | null;
  members: Member[];
}

/** `state`, with what the recorder adds to it. */
export type State = Omit<components["schemas"]["State"], "partitions"> & {
  groups?: GroupNow[];
  partitions: Partition[];
};
export type Partition = components["schemas"]["Partition"] & { dark_since?: string | null };
