// Names in the lanes: at the head of each span that has room for one, and at the window's left edge for the spans
// that began before it.

import { visible } from "../format";
import type { Group, Lane, Span } from "../record";
import { type Layout, type Scale, inside, x } from "./geometry";
import type { Palette } from "./palette";

export interface Named {
  readonly group: Group;
  readonly layout: Layout;
  /** By slot. */
  readonly names: ReadonlyMap<number, { id: string; short: string }>;
  readonly lit: number | null;
  readonly size: number;
}

type Context = CanvasRenderingContext2D;

/** Lanes closer than this have no room for letters. */
const PITCH_PX = 12;
const FULL_PITCH_PX = 17;
const FULL_SPAN_PX = 150;
const FULL_LETTERS = 28;
const PADDING_PX = 12;
/** In wider windows only the name at the left edge is there. */
const HEADS_UNTIL_MS = 6 * 3_600_000;
/** How far the names at the edge reach. */
export const EDGE_PX = 240;

/** `now`: a span that lasts ends there for its name. */
export function drawNames(ctx: Context, palette: Palette, named: Named, scale: Scale, windowMs: number, now: number): void {
  if (named.layout.pitch < PITCH_PX || windowMs > HEADS_UNTIL_MS) return;
  named.group.lanes.forEach((lane, i) => {
    for (const span of lane.spans) {
      if (span.from <= scale.from) continue;
      const at = readFrom(lane, { ...span, until: span.until ?? now }, scale);
      const said = at && fitting(ctx, palette, named, span, at[1] - at[0]);
      if (said) write(ctx, palette, named, said, span.slot, at[0], named.layout.y[i] ?? 0);
    }
  });
}

/** What stands at the left edge, by lane; the same key means that nothing has to be drawn. */
export function edgeNames(ctx: Context, palette: Palette, named: Named, window: Scale): { key: string; said: (string | null)[]; slots: number[] } {
  const slots: number[] = [];
  const said = named.group.lanes.map((lane, i) => {
    slots[i] = -1;
    if (named.layout.pitch < PITCH_PX) return null;
    const span = lane.spans.findLast(({ from, until }) => from <= window.from && (until === null || until > window.from));
    if (!span || lane.dark.some(({ from, until }) => from <= window.from && (until === null || until > window.from))) return null;
    slots[i] = span.slot;
    const next = lane.dark.find(({ from }) => from > window.from);
    const until = Math.min(span.until ?? Number.POSITIVE_INFINITY, next?.from ?? Number.POSITIVE_INFINITY);
    return fitting(ctx, palette, named, span, Number.isFinite(until) ? x(window, until) : window.width);
  });
  return { key: `${said.join("\n")}\n${slots.join()} ${named.lit} ${named.layout.y.join()}`, said, slots };
}

export function drawEdgeNames(ctx: Context, palette: Palette, named: Named, said: readonly (string | null)[], slots: readonly number[]): void {
  said.forEach((name, i) => {
    if (name !== null) write(ctx, palette, named, name, slots[i] ?? 0, 0, named.layout.y[i] ?? 0);
  });
}

/** Where a span is read, in pixels: it may begin dark. */
function readFrom(lane: Lane, span: Span, scale: Scale): [number, number] | null {
  const dark = lane.dark.find(({ from, until }) => until !== null && from <= span.from + 50 && until > span.from && until <= (span.until ?? Number.POSITIVE_INFINITY));
  return inside(scale, { from: dark?.until ?? span.from, until: span.until });
}

function fontOf(palette: Palette, { layout, size }: Named): string {
  return `600 ${layout.pitch >= FULL_PITCH_PX ? size : Math.min(size, 10)}px ${palette.font}`;
}

/** The full name, the short one, or none. */
function fitting(ctx: Context, palette: Palette, named: Named, span: Span, room: number): string | null {
  const name = named.names.get(span.slot);
  if (!name) return null;
  const font = fontOf(palette, named);
  const full = visible(name.id);
  const fits = (said: string) => room >= palette.width(ctx, said, font) + PADDING_PX;
  if (named.layout.pitch >= FULL_PITCH_PX && room > FULL_SPAN_PX && full.length <= FULL_LETTERS && fits(full)) return full;
  return fits(name.short) ? name.short : null;
}

function write(ctx: Context, palette: Palette, named: Named, said: string, slot: number, left: number, y: number): void {
  const font = fontOf(palette, named);
  ctx.globalAlpha = named.lit !== null && named.lit !== slot ? 0.3 : 1;
  ctx.fillStyle = palette.colour(slot);
  ctx.fillRect(left + 2, y, palette.width(ctx, said, font) + 7, named.layout.bar);
  ctx.fillStyle = palette.inkOn(slot);
  ctx.font = font;
  ctx.textBaseline = "middle";
  ctx.fillText(said, left + 5, y + named.layout.bar / 2 + 0.5);
  ctx.globalAlpha = 1;
}
