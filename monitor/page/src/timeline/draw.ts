// Paints a group's lanes and curves onto a sheet: a canvas that is wider than the window and is shifted under it,
// so that to move is to copy. What depends on the window's edges (names, flags' lines, the cursor) goes on top.

import type { CurvePoint, Group, Ownership, Stretch } from "../record";
import { type Layout, type Piece, type Scale, breaks, inside, pieces, ticks, x } from "./geometry";
import type { Palette } from "./palette";

export interface Picture {
  readonly group: Group;
  readonly layout: Layout;
  readonly scale: Scale;
  readonly ownership: Ownership;
  readonly points: readonly CurvePoint[];
  readonly tickApart: number;
  /** The slot that stands out; null: all do. */
  readonly lit: number | null;
}

type Context = CanvasRenderingContext2D;

export function drawSheet(ctx: Context, palette: Palette, picture: Picture): void {
  const { scale, layout } = picture;
  ctx.fillStyle = palette.rule;
  for (const at of ticks(scale, picture.tickApart).at) ctx.fillRect(Math.round(x(scale, at)), layout.top - 2, 1, layout.height - layout.top);
  drawLanes(ctx, palette, picture);
  drawCurve(ctx, palette, picture, layout.rate, ({ stored_rows_per_second }) => stored_rows_per_second);
  drawCurve(ctx, palette, picture, layout.lag, ({ lag_records }) => lag_records);
  for (const blind of picture.ownership.blind) drawBlind(ctx, palette, picture, blind);
}

function drawLanes(ctx: Context, palette: Palette, { group, layout, scale, lit }: Picture): void {
  const { bar } = layout;
  const home = new Map<number, number>();
  for (const block of layout.blocks) {
    for (const lane of layout.order) if ((layout.y[lane] ?? 0) >= block.y && block.slot !== null) home.set(lane, block.slot);
  }
  group.lanes.forEach((lane, i) => {
    ctx.save();
    ctx.translate(0, layout.y[i] ?? 0);
    ctx.fillStyle = palette.lane;
    ctx.fillRect(0, 0, scale.width, bar);
    for (const span of lane.spans) {
      const at = inside(scale, span);
      if (!at) continue;
      ctx.globalAlpha = lit !== null && lit !== span.slot ? 0.22 : 1;
      // In its own block an owner is plain, so that visitors stand out.
      ctx.fillStyle = home.get(i) === span.slot ? palette.colour(span.slot) : palette.bar(span.slot, bar);
      ctx.fillRect(at[0], 0, Math.max(0.5, at[1] - at[0]), bar);
      // A run of buckets with changes inside is not as quiet as it looks.
      if (span.changes > 1) {
        ctx.fillStyle = palette.ink;
        ctx.fillRect(at[0], bar - 1, Math.max(1, at[1] - at[0]), 1);
      }
    }
    ctx.globalAlpha = 1;
    for (const quiet of lane.quiet) {
      const at = inside(scale, quiet);
      if (!at) continue;
      const line = Math.max(2, Math.round(bar * 0.22));
      const above = (bar - line) >> 1;
      ctx.fillStyle = palette.lane;
      ctx.fillRect(at[0], 0, at[1] - at[0], above);
      ctx.fillRect(at[0], above + line, at[1] - at[0], bar - above - line);
    }
    for (const dark of lane.dark) for (const piece of pieces(scale, dark)) drawPiece(ctx, palette, piece, bar, palette.att);
    for (const second of lane.two_owners) {
      const at = inside(scale, second);
      if (!at) continue;
      const width = Math.max(3, at[1] - at[0]);
      const half = Math.max(3, Math.floor(bar * 0.45));
      ctx.fillStyle = palette.bg;
      ctx.fillRect(at[0], bar - half - 1, width, half + 1);
      ctx.fillStyle = palette.colour(second.slot);
      ctx.fillRect(at[0], bar - half, width, half);
      ctx.strokeStyle = palette.att;
      ctx.lineWidth = 1.5;
      ctx.strokeRect(at[0] + 0.75, 0.75, Math.max(1.5, width - 1.5), bar - 1.5);
    }
    ctx.restore();
  });
}

/** A phase of dark time, from y 0: in the accent on the timeline, in ink in lists. */
export function drawPiece(ctx: Context, palette: Palette, { kind, left, width }: Piece, height: number, colour: string): void {
  if (kind === "mark" || kind === "reassign") {
    ctx.fillStyle = colour;
    ctx.fillRect(left, 0, width, height);
    return;
  }
  ctx.fillStyle = kind === "resume" ? palette.bg : palette.hatch(colour);
  ctx.fillRect(left, 0, width, height);
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  if (width > 2) ctx.strokeRect(left + 0.5, 0.5, width - 1, height - 1);
  else {
    ctx.fillStyle = colour;
    ctx.fillRect(left, 0, Math.max(1, width), height);
  }
}

function drawBlind(ctx: Context, palette: Palette, { scale, layout }: Picture, blind: Stretch): void {
  const at = inside(scale, blind);
  if (!at) return;
  const [left, top, width, height] = [Math.round(at[0]), layout.top - 2, Math.max(2, Math.round(at[1] - at[0])), layout.height - layout.top];
  ctx.fillStyle = palette.dots();
  ctx.fillRect(left, top, width, height);
  ctx.fillStyle = palette.ink3;
  ctx.fillRect(left, top, 1, height);
  ctx.fillRect(left + width - 1, top, 1, height);
}

/** Breaks where nothing was told: a gap is not a value. */
function drawCurve(ctx: Context, palette: Palette, picture: Picture, top: number, of: (point: CurvePoint) => number | null): void {
  const { scale, layout, points } = picture;
  const most = highest(picture, of);
  const y = (value: number) => top + layout.curve - 2 - ((layout.curve - 6) * value) / most;
  const told = points.flatMap((point) => {
    const value = of(point);
    return value === null ? [] : [{ at: point.at, value }];
  });
  const begins = breaks(told.map(({ at }) => at));
  // To the edges and beyond them, by as much as is seen.
  const beyond = scale.to - scale.from;
  ctx.beginPath();
  for (const [index, { at, value }] of told.entries()) {
    if (at < scale.from - beyond || at > scale.to + beyond) continue;
    if (begins[index]) ctx.moveTo(x(scale, at), y(value));
    else ctx.lineTo(x(scale, at), y(value));
  }
  ctx.strokeStyle = palette.ink2;
  ctx.lineWidth = 1.25;
  ctx.lineJoin = "round";
  ctx.stroke();
  ctx.fillStyle = palette.rule;
  ctx.fillRect(0, top + layout.curve - 1, scale.width, 1);
}

/** The top of a curve's lane. */
export function highest({ points, scale }: Pick<Picture, "points" | "scale">, of: (point: CurvePoint) => number | null): number {
  let most = 1;
  for (const point of points) {
    const value = of(point);
    if (value !== null && value > most && point.at >= scale.from && point.at <= scale.to) most = value;
  }
  return most;
}
