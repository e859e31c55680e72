// The last day in one strip: the worst dark time of each few minutes.

import type { Ownership } from "../record";
import { DAY } from "../view";
import { type Scale, tickText, ticks, x } from "./geometry";
import { type Palette, fitted } from "./palette";

const BAR_PX = 3;
const FULL_MS = 9000;

/** The longest dark time by bucket of the day that ends at `scale.to`; 0 where there was none. */
export function worst(ownership: Ownership, scale: Scale, buckets: number): number[] {
  const longest = new Array<number>(buckets).fill(0);
  const take = (from: number, ms: number) => {
    const i = Math.min(buckets - 1, Math.floor(((from - scale.from) / (scale.to - scale.from)) * buckets));
    if (i >= 0) longest[i] = Math.max(longest[i] ?? 0, ms);
  };
  for (const { lanes } of ownership.groups) {
    // Buckets blur a span, so a rebalance's own figure is the better one.
    if (ownership.bucket_ms === null) for (const { dark } of lanes) for (const one of dark) take(one.from, (one.until ?? scale.to) - one.from);
    else for (const { dark } of lanes) for (const one of dark) if (one.rebalance === null) take(one.from, (one.until ?? scale.to) - one.from);
  }
  for (const { noticed_at, dark_max_ms } of ownership.rebalances) take(noticed_at, dark_max_ms ?? 0);
  return longest;
}

export function drawStrip(canvas: HTMLCanvasElement, palette: Palette, width: number, ownership: Ownership | null, now: number, size: number): void {
  const height = size > 11 ? 46 : 42;
  const scale: Scale = { from: now - DAY, to: now, width };
  const ctx = fitted(canvas, width, height, palette.density);
  if (!ctx) return;
  ctx.fillStyle = palette.lane;
  ctx.fillRect(0, 0, width, 26);
  const buckets = Math.max(1, Math.floor(width / BAR_PX));
  if (ownership) {
    ctx.fillStyle = palette.att;
    worst(ownership, scale, buckets).forEach((ms, i) => {
      if (ms <= 0) return;
      const tall = Math.max(4, Math.min(24, (ms / FULL_MS) * 24));
      ctx.fillRect((i * width) / buckets, 26 - tall, 2, tall);
    });
    ctx.fillStyle = palette.ink3;
    for (const { from, until } of ownership.blind) {
      if ((until ?? now) > scale.from) ctx.fillRect(x(scale, from), 0, Math.max(2, x(scale, until ?? now) - x(scale, from)), 26);
    }
  }
  const font = `${size}px ${palette.font}`;
  ctx.fillStyle = palette.ink3;
  ctx.textBaseline = "alphabetic";
  const { step, at } = ticks(scale, width < 500 ? 70 : 110);
  for (const tick of at) {
    const px = Math.round(x(scale, tick));
    const text = tickText(tick, step);
    const wide = palette.width(ctx, text, font);
    ctx.font = font;
    ctx.fillRect(px, 26, 1, 4);
    if (px - wide / 2 > 0 && px + wide / 2 < width) ctx.fillText(text, px - wide / 2, height - 1);
  }
}
