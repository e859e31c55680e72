// The time axis, and over it what concerns every group: drills, brokers that were down, the recorder away.

import { span, visible } from "../format";
import type { Ownership } from "../record";
import { type Scale, inside, tickText, ticks, x } from "./geometry";
import { type Palette, fitted } from "./palette";

export const RAIL_HEIGHT = 38;

interface Shared {
  readonly from: number;
  readonly until: number | null;
  readonly text: string;
  readonly blind: boolean;
}

export function shared(ownership: Ownership, now: number): Shared[] {
  const lasted = ({ from, until }: { from: number; until: number | null }) => span((until ?? now) - from);
  return [
    ...ownership.blind.map((blind) => ({ ...blind, blind: true, text: visible(`${blind.why} ${lasted(blind)}`) })),
    ...ownership.brokers.map((broker) => ({ ...broker, blind: false, text: `kafka${broker.broker} down ${lasted(broker)}` })),
    ...ownership.drills.map((drill) => ({ ...drill, blind: false, text: visible(`drill ${drill.scenario}${drill.outcome ? `: ${drill.outcome}` : ""}`) })),
  ];
}

export function drawRail(canvas: HTMLCanvasElement, palette: Palette, scale: Scale, ownership: Ownership | null, now: number, live: boolean, size: number): void {
  const ctx = fitted(canvas, scale.width, RAIL_HEIGHT, palette.density);
  if (!ctx) return;
  const font = `${size}px ${palette.font}`;
  ctx.font = font;
  ctx.textBaseline = "alphabetic";
  const { step, at } = ticks(scale, size * 8);
  for (const tick of at) {
    const px = Math.round(x(scale, tick));
    ctx.fillStyle = palette.rule;
    ctx.fillRect(px, 33, 1, 5);
    const text = tickText(tick, step);
    const width = palette.width(ctx, text, font);
    if (px - width / 2 < 0 || px + width / 2 > scale.width - (live ? 34 : 0)) continue;
    ctx.fillStyle = palette.ink3;
    ctx.fillText(text, px - width / 2, 30);
  }
  if (live) {
    ctx.font = `600 ${font}`;
    ctx.fillStyle = palette.ink;
    ctx.fillText("now", scale.width - ctx.measureText("now").width - 1, 30);
    ctx.font = font;
  }
  let free = Number.NEGATIVE_INFINITY;
  for (const one of ownership ? shared(ownership, now).sort((a, b) => a.from - b.from) : []) {
    const place = inside(scale, one);
    if (!place) continue;
    const [left, right] = [place[0], Math.max(place[0] + 2, place[1])];
    ctx.fillStyle = one.blind ? palette.dots() : palette.ink2;
    if (one.blind) ctx.fillRect(left, 8, right - left, 6);
    else {
      ctx.fillRect(left, 10, right - left, 2);
      ctx.fillRect(left, 7, 1.5, 8);
      ctx.fillRect(right - 1.5, 7, 1.5, 8);
    }
    const width = palette.width(ctx, one.text, font);
    const beside = right + 6 + width < scale.width ? right + 6 : left - 6 - width;
    // What has no room is told in the table, and by the flags.
    if (beside < free || beside < 0) continue;
    ctx.font = font;
    ctx.fillStyle = palette.ink2;
    ctx.fillText(one.text, beside, 15);
    free = Math.max(right, beside + width) + 12;
  }
}
