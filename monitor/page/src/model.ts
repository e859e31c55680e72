// What the page knows, and how each thing that happens changes it. Pure: no clock, no DOM, no network.
//
//   stream ──action──> reduce(model, action) ──> model ──> panels (one file each) draw it
//
// Everything on the page is drawn from one model, so nothing speaks of another instant than the rest.

import type { components } from "./openapi";

export type State = components["schemas"]["State"];
export type Consumer = components["schemas"]["Consumer"];
export type Producer = components["schemas"]["Producer"];
export type Partition = components["schemas"]["Partition"];
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
  readonly now: number;
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
  | { type: "history"; points: readonly Point[] };

/** Seconds that the charts show. */
export const WINDOW_S = 900;
const EVENTS_KEPT = 300;
/** The stream tells the state every second; this long without is not well. */
const STALE_AFTER_MS = 3000;

export const initial: Model = {
  now: 0,
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
      };
    case "event":
      if (model.events.some((known) => known.number === action.event.number)) return model;
      return {
        ...model,
        now: action.now,
        link: { is: "live", heardAt: action.now },
        events: [action.event, ...model.events].sort((a, b) => b.number - a.number).slice(0, EVENTS_KEPT),
      };
    case "reset":
      return { ...model, now: action.now, events: [], skipped: true };
    case "lost":
      return { ...model, now: action.now, link: lost(model.link, action) };
    case "history":
      return { ...model, points: merged(model.points, action.points) };
  }
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
