// Where one looks: a window on the time axis, and the one instant that every panel speaks of. Pure.
//
//   live:  end null, cursor null, paused null          the window ends now, and goes with it
//   past:  end and/or cursor                           the window stands; the instant is the cursor, else its end
//   pause: paused                                      the window stands; facts go on

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const WINDOWS: readonly { ms: number; name: string; phone?: boolean }[] = [
  { ms: MINUTE, name: "1 m", phone: true },
  { ms: 5 * MINUTE, name: "5 m", phone: true },
  { ms: 15 * MINUTE, name: "15 m" },
  { ms: HOUR, name: "1 h", phone: true },
  { ms: 6 * HOUR, name: "6 h" },
  { ms: DAY, name: "24 h", phone: true },
  { ms: 7 * DAY, name: "7 d" },
];
const NARROWEST = 10_000;
const WIDEST = 31 * DAY;

export interface View {
  readonly ms: number;
  readonly end: number | null;
  readonly cursor: number | null;
  readonly paused: number | null;
  readonly order: "partition" | "owner";
  readonly table: boolean;
  /** Where one was before zooming to a story. */
  readonly back: Pick<View, "ms" | "end" | "cursor"> | null;
  /** Slot that stands out while its name is pointed at. */
  readonly lit: number | null;
  /** Of the lanes, in CSS pixels: how much detail is worth asking for. */
  readonly pixels: number;
}

/** A way to move: what it makes of a view, now being `now`. */
export type Move = (view: View, now: number) => View;

export function isLive(view: View): boolean {
  return view.end === null && view.cursor === null && view.paused === null;
}

/** The right end of the window. */
export function edge(view: View, now: number): number {
  return view.end ?? view.paused ?? now;
}

/** What all panels speak of; null: now. */
export function instant(view: View): number | null {
  return view.cursor ?? view.end ?? view.paused;
}

export const live: Move = (view) => ({ ...view, end: null, cursor: null, paused: null, back: null });

export const pause: Move = (view, now) => (isLive(view) ? { ...view, paused: now } : view.paused === null ? view : live(view, now));

/** Puts the cursor on an instant; the window follows when that is outside. */
export function look(at: number): Move {
  return (view, now) => {
    const cursor = Math.min(at, now);
    const end = edge(view, now);
    const inside = cursor <= end && cursor >= end - view.ms;
    return { ...view, cursor, end: inside ? end : Math.min(now, cursor + view.ms / 2) };
  };
}

/** Moves the window so that it ends at `end`; the cursor stays while it is inside. */
export function pan(end: number): Move {
  return (view, now) => {
    const until = Math.min(end, now);
    const inside = view.cursor !== null && view.cursor <= until && view.cursor >= until - view.ms;
    return { ...view, end: until, cursor: inside ? view.cursor : null };
  };
}

/** Another width; `around` keeps its place on the axis. */
export function zoom(ms: number, around: number | null = null): Move {
  return (view, now) => {
    const wide = Math.max(NARROWEST, Math.min(WIDEST, ms));
    if (isLive(view) && around === null) return { ...view, ms: wide };
    const end = edge(view, now);
    const fixed = around ?? view.cursor ?? end;
    const share = (end - fixed) / view.ms;
    if (isLive(view) && share < 0.02) return { ...view, ms: wide };
    return { ...view, ms: wide, end: Math.min(now, fixed + share * wide) };
  };
}

/** Frames a rebalance, the cursor just before it was noticed; again, and one is back where one was. */
export function frame(began: number, noticed: number, ended: number | null): Move {
  return (view, now) => {
    if (view.back) return { ...view, ...view.back, back: null };
    const until = ended ?? now;
    const ms = Math.max(30_000, (until - began) * 2.6);
    return {
      ...view,
      back: { ms: view.ms, end: view.end, cursor: view.cursor },
      ms,
      end: Math.min(now, until + ms * 0.3),
      cursor: Math.max(began + 10, noticed - 400),
    };
  };
}

/** Brings an instant into the window, if it is not there. */
export function reveal(at: number, until: number): Move {
  return (view, now) => {
    const end = edge(view, now);
    return at >= end - view.ms && at <= end ? view : { ...view, end: Math.min(now, until + view.ms / 3), cursor: null };
  };
}
