// Where things stand: time to pixels and back, ticks, lanes. Pure; all lengths are CSS pixels.

import type { Dark, Group, Stretch } from "../record";
import { DAY } from "../view";

export interface Scale {
  readonly from: number;
  readonly to: number;
  readonly width: number;
}

export function x(scale: Scale, at: number): number {
  return ((at - scale.from) / (scale.to - scale.from)) * scale.width;
}

export function time(scale: Scale, px: number): number {
  return scale.from + (px / scale.width) * (scale.to - scale.from);
}

/** The part of a stretch that is in the scale, as [left, right]; null: none of it. One without an end goes on. */
export function inside(scale: Scale, { from, until }: Stretch): [number, number] | null {
  if (from >= scale.to || (until !== null && until <= scale.from)) return null;
  return [Math.max(0, x(scale, from)), until === null ? scale.width : Math.min(scale.width, x(scale, until))];
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Round instants, at least `apart` from each other. */
export function ticks(scale: Scale, apart: number): { step: number; at: number[] } {
  const perPixel = (scale.to - scale.from) / scale.width;
  const step = (STEPS_S.find((s) => (s * 1000) / perPixel >= apart) ?? 604_800) * 1000;
  const at: number[] = [];
  for (let t = Math.ceil(scale.from / step) * step; t <= scale.to; t += step) at.push(t);
  return { step, at };
}

/** What stands at a tick: only as much as the step needs. */
export function tickText(at: number, step: number): string {
  const iso = new Date(at).toISOString();
  if (step >= DAY) return iso.slice(5, 10);
  return step < 60_000 ? iso.slice(11, 19) : iso.slice(11, 16);
}

export interface Screen {
  readonly wall: boolean;
  readonly phone: boolean;
}

/** From lane to lane. */
export function pitch(lanes: number, byOwner: boolean, { wall, phone }: Screen): number {
  const px = lanes <= 2 ? 34 : lanes <= 8 ? (phone ? 20 : 19) : lanes <= 24 ? (phone ? 13 : 14) : lanes <= 48 ? 10 : byOwner ? 7 : 8;
  return Math.round(px * (wall ? 1.35 : 1));
}

export interface Layout {
  readonly pitch: number;
  readonly bar: number;
  /** Height of the flags above the lanes. */
  readonly top: number;
  /** Of each lane of the group, by its place in `group.lanes`. */
  readonly y: readonly number[];
  /** Lanes from top to bottom. */
  readonly order: readonly number[];
  /** Runs of lanes with one owner, where they are ordered by it. */
  readonly blocks: readonly { slot: number | null; y: number; lanes: number }[];
  readonly lanesEnd: number;
  readonly rate: number;
  readonly lag: number;
  readonly curve: number;
  readonly height: number;
}

const BLOCK_GAP = 4;
const CURVE_GAP = 4;
/** Fewer lanes than this are not worth a gap between owners. */
const BLOCKS_FROM = 9;
/** More than this are shown by owner until another order is asked for. */
export const MANY_LANES = 24;

/** `owners`: by place in `group.lanes`, the slot of who has it; null: nobody. */
export function layout(group: Group, owners: readonly (number | null)[], byOwner: boolean, screen: Screen): Layout {
  const n = group.lanes.length;
  const step = pitch(n, byOwner, screen);
  const bar = Math.max(5, step > 17 ? step - 5 : step > 11 ? step - 3 : step - 2);
  const top = screen.wall ? 28 : 22;
  const curve = screen.wall ? 40 : 26;
  const order = group.lanes.map((_, i) => i);
  const nobody = Number.MAX_SAFE_INTEGER;
  if (byOwner) order.sort((a, b) => (owners[a] ?? nobody) - (owners[b] ?? nobody) || a - b);
  const gap = byOwner && n >= BLOCKS_FROM ? BLOCK_GAP : 0;
  const y: number[] = new Array<number>(n).fill(0);
  const blocks: { slot: number | null; y: number; lanes: number }[] = [];
  let at = top;
  for (const lane of order) {
    const slot = owners[lane] ?? null;
    const block = blocks.at(-1);
    if (!block || block.slot !== slot) {
      if (block) at += gap;
      blocks.push({ slot, y: at, lanes: 1 });
    } else block.lanes += 1;
    y[lane] = at;
    at += step;
  }
  const rate = at + CURVE_GAP;
  const lag = rate + curve + CURVE_GAP;
  return { pitch: step, bar, top, y, order, blocks: gap > 0 ? blocks : [], lanesEnd: at, rate, lag, curve, height: lag + curve + 2 };
}

/** Which lane is at a height; null: none. */
export function laneAtHeight({ y, pitch: step }: Layout, height: number): number | null {
  const lane = y.findIndex((top) => height >= top && height < top + step);
  return lane < 0 ? null : lane;
}

export type Phase = "detect" | "reassign" | "resume";
export interface Piece {
  /** `mark`: too narrow for anything but a mark. `dark`: too narrow for its phases. */
  readonly kind: Phase | "dark" | "mark";
  readonly left: number;
  readonly width: number;
}

const MARK_UNDER = 3;
const HATCH_UNDER = 14;
const NEVER_UNDER = 2;

/** A dark span in its phases; it never vanishes, however narrow. What lasts goes on to the right end. */
export function pieces(scale: Scale, dark: Dark): Piece[] {
  if (dark.from >= scale.to || (dark.until !== null && dark.until <= scale.from)) return [];
  const left = Math.max(-HATCH_UNDER, x(scale, dark.from));
  const right = dark.until === null ? scale.width : Math.min(scale.width + HATCH_UNDER, x(scale, dark.until));
  const width = right - left;
  if (width < MARK_UNDER) return [{ kind: "mark", left: Math.round(left), width: Math.max(NEVER_UNDER, Math.ceil(width)) }];
  if (width < HATCH_UNDER) return [{ kind: "dark", left, width }];
  const at = (t: number | null) => (t === null ? right : Math.max(left, Math.min(right, x(scale, t))));
  const noticed = at(dark.noticed);
  const claimed = Math.max(noticed, at(dark.claimed));
  const all: Piece[] = [
    { kind: "detect", left, width: noticed - left },
    { kind: "reassign", left: noticed, width: claimed - noticed },
    { kind: "resume", left: claimed, width: right - claimed },
  ];
  return all.filter((piece) => piece.width > 0);
}

/**
 * Whether a curve begins anew at each of these times, because more than four steps before it are missing. The steps are those
 * beside: what was recorded by the minute goes on by the second.
 */
export function breaks(times: readonly number[]): boolean[] {
  const steps = times.map((at, index) => at - (times[index - 1] ?? Number.NEGATIVE_INFINITY));
  return steps.map((step, index) => {
    const beside = [steps[index - 1], steps[index + 1]].filter((other) => other !== undefined && Number.isFinite(other));
    return step > Math.max(5000, 4 * Math.max(0, ...(beside as number[])));
  });
}
