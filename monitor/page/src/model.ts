// What the page knows, and how each thing that happens changes it. Pure: no clock, no DOM, no network.
//
//   stream ──action──> reduce(model, action) ──> model ──> panels (one file each) draw it
//
// Everything on the page is drawn from one model, so nothing speaks of another instant than the rest.

import type { components } from "./openapi";
import type { CurvePoint, Partition, State } from "./record";
import { type Answer, type Recording, answered, happened, nothing } from "./recording";
import { DAY, MINUTE, type Move, type View, instant, isLive } from "./view";

export type { Partition, State } from "./record";
export type Consumer = components["schemas"]["Consumer"];
export type Producer = components["schemas"]["Producer"];
export type Alarm = components["schemas"]["Alarm"];
export type AlarmCounts = components["schemas"]["AlarmCounts"];
export type AlarmEvent = components["schemas"]["AlarmEvent"];
export type Point = components["schemas"]["Point"];

/** A row of the journal as the stream carries it. */
export interface Rebalancing {
  consumer_id: string;
  event_type: string;
  partition_number: number | null;
  group_id: string;
  topic: string;
  protocol: string;
  generation: number;
  kafka_offset: number | null;
  detail: string | null;
  boot_id: string;
}

/** A numbered event. */
export interface Event {
  number: number;
  kind: string;
  occurred_at: string;
  recorded_at: string;
  body: unknown;
}

/** How the stream is. Times are milliseconds of this browser's clock. */
export type Link =
  | { is: "connecting" }
  | { is: "live"; heardAt: number }
  | { is: "stale"; heardAt: number }
  | { is: "down"; since: number; heardAt: number | null; nextTryAt: number | null };

export interface Model {
  /** By this browser's clock. */
  readonly now: number;
  /** How far the database's clock is ahead of it; the time axis is the database's. */
  readonly ahead: number;
  readonly view: View;
  readonly recording: Recording;
  /** Rate and lag by topic, each second since the page was opened. */
  readonly curves: ReadonlyMap<string, readonly CurvePoint[]>;
  readonly link: Link;
  readonly state: State | null;
  /** Of the charts, by second, ascending. */
  readonly points: readonly Point[];
  /** Newest first. */
  readonly events: readonly Event[];
  /** Events that this page did not get, because it was away too long. */
  readonly skipped: boolean;
}

export type Action =
  | { type: "tick"; now: number }
  | { type: "state"; now: number; state: State }
  | { type: "event"; now: number; event: Event }
  | { type: "reset"; now: number }
  | { type: "lost"; now: number; nextTryAt: number | null }
  | { type: "history"; points: readonly Point[] }
  | { type: "view"; now: number; move: Move }
  | { type: "clock"; now: number; at: number }
  | Answer;

/** Seconds that the charts show. */
export const WINDOW_S = 900;
const EVENTS_KEPT = 300;
const CURVE_KEPT_MS = 15 * MINUTE;
/** Smaller differences of the clocks are how long an answer took. */
const CLOCK_STEP_MS = 250;
/** The stream tells the state every second; this long without is not well. */
const STALE_AFTER_MS = 3000;

export const initial: Model = {
  now: 0,
  ahead: 0,
  view: { ms: 15 * MINUTE, end: null, cursor: null, paused: null, order: "partition", table: false, back: null, lit: null, pixels: 1000 },
  recording: nothing,
  curves: new Map(),
  link: { is: "connecting" },
  state: null,
  points: [],
  events: [],
  skipped: false,
};

export function reduce(model: Model, action: Action): Model {
  switch (action.type) {
    case "tick":
      return { ...model, now: action.now, link: aged(model.link, action.now) };
    case "state":
      return {
        ...model,
        now: action.now,
        link: { is: "live", heardAt: action.now },
        state: action.state,
        points: merged(model.points, action.state.recent),
        ...(model.recording.near ? {} : { ahead: nudged(model.ahead, Date.parse(action.state.system?.as_of) - action.now) }),
        curves: grown(model.curves, action.state, action.now + model.ahead),
        // What became dark, or is read again, has phases that only the recorder knows.
        ...(darkOf(model.state) === darkOf(action.state) ? {} : { recording: { ...model.recording, stale: model.recording.stale + 1 } }),
      };
    case "event":
      if (model.events.some((known) => known.number === action.event.number)) return model;
      return {
        ...model,
        now: action.now,
        link: { is: "live", heardAt: action.now },
        events: [action.event, ...model.events].sort((a, b) => b.number - a.number).slice(0, EVENTS_KEPT),
        recording: happened(model.recording, action.event.kind, action.event.body),
      };
    case "reset":
      return {
        ...model,
        now: action.now,
        events: [],
        skipped: true,
        // The list may have a hole now: it is asked for again.
        recording: { ...model.recording, stale: model.recording.stale + 1, reaches: Number.POSITIVE_INFINITY, more: null },
      };
    case "lost":
      return { ...model, now: action.now, link: lost(model.link, action) };
    case "history":
      return { ...model, points: merged(model.points, action.points) };
    case "view":
      return { ...model, now: action.now, view: action.move(model.view, action.now + model.ahead) };
    case "clock":
      return { ...model, now: action.now, ahead: nudged(model.ahead, action.at - action.now) };
    default:
      return { ...model, recording: answered(model.recording, action) };
  }
}

/** Now, by the database's clock. */
export function present(model: Model): number {
  return model.now + model.ahead;
}

/** The newest instant of which facts can have come: now, or when the page last heard anything. */
export function known(model: Model): number {
  return model.now + model.ahead - (model.link.is === "stale" || model.link.is === "down" ? (silence(model) ?? 0) : 0);
}

/** The one instant that everything on the page speaks of, by the database's clock. */
export function spokenOf(model: Model): number {
  return instant(model.view) ?? known(model);
}

export function isPast(model: Model): boolean {
  return !isLive(model.view);
}

/** Milliseconds since the page last heard anything; null before the first word. */
export function silence(model: Model): number | null {
  const heardAt = "heardAt" in model.link ? model.link.heardAt : null;
  return heardAt === null ? null : Math.max(0, model.now - heardAt);
}

function aged(link: Link, now: number): Link {
  if (link.is === "live" && now - link.heardAt > STALE_AFTER_MS) return { is: "stale", heardAt: link.heardAt };
  return link;
}

function lost(link: Link, { now, nextTryAt }: { now: number; nextTryAt: number | null }): Link {
  const since = link.is === "down" ? link.since : now;
  return { is: "down", since, heardAt: "heardAt" in link ? link.heardAt : null, nextTryAt };
}

function nudged(ahead: number, told: number): number {
  return Number.isFinite(told) && Math.abs(told - ahead) > CLOCK_STEP_MS && Math.abs(told) < 3650 * DAY ? told : ahead;
}

function darkOf(state: State | null): string {
  return (state?.partitions ?? []).filter(({ dark_since }) => dark_since).map(({ topic, partition }) => `${topic} ${partition}`).join();
}

/** One point more for each topic, out of its partitions. */
function grown(curves: Model["curves"], state: State, at: number): Model["curves"] {
  const next = new Map(curves);
  const topics = new Map<string, Partition[]>();
  for (const partition of state.partitions) topics.set(partition.topic, [...(topics.get(partition.topic) ?? []), partition]);
  for (const [topic, partitions] of topics) {
    const lags = partitions.map((partition) => partition.lag_records).filter((lag) => lag !== null && lag !== undefined);
    const point = {
      at,
      stored_rows_per_second: partitions.reduce((sum, partition) => sum + partition.stored_rows_per_second, 0),
      lag_records: lags.length === 0 ? null : lags.reduce((sum, lag) => sum + lag, 0),
    };
    const before = (next.get(topic) ?? []).filter((earlier) => earlier.at > at - CURVE_KEPT_MS && earlier.at < at);
    next.set(topic, [...before, point]);
  }
  return next;
}

/** Later words about a second replace earlier ones; what is older than the window goes. */
function merged(known: readonly Point[], told: readonly Point[]): readonly Point[] {
  if (told.length === 0) return known;
  const bySecond = new Map(known.map((point) => [Date.parse(point.at), point]));
  for (const point of told) {
    const second = Date.parse(point.at);
    const before = bySecond.get(second);
    // The lag of a second is sampled by the monitor, and forgotten when it restarts.
    const lag_records = point.lag_records ?? before?.lag_records ?? null;
    bySecond.set(second, { ...point, lag_records });
  }
  const newest = Math.max(...bySecond.keys());
  return [...bySecond.entries()]
    .filter(([second]) => second > newest - WINDOW_S * 1000)
    .sort(([a], [b]) => a - b)
    .map(([, point]) => point);
}
