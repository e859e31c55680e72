// Flags over the lanes: one for each rebalance, or for some that stand too close. Pure.

import type { Brief } from "../record";
import { type Scale, x } from "./geometry";

export interface Flag {
  /** The worst of those that it stands for. */
  readonly rebalance: Brief;
  readonly more: number;
  /** Of the moment that it was noticed. */
  readonly at: number;
  readonly left: number;
  /** Where its words have room. */
  readonly words: "right" | "left" | "none";
}

/** Closer than this, they are one. */
export const MERGE_PX = 24;
const GLYPH_PX = 18;
const PADDING_PX = 14;

/** `measure`: how wide the words of a rebalance are. */
export function flags(scale: Scale, rebalances: readonly Brief[], measure: (rebalance: Brief) => number): Flag[] {
  const groups: { rebalance: Brief; at: number; more: number }[] = [];
  const inView = rebalances.filter(({ noticed_at }) => noticed_at >= scale.from && noticed_at <= scale.to);
  for (const rebalance of [...inView].sort(worseFirst)) {
    const at = x(scale, rebalance.noticed_at);
    const near = groups.find((other) => Math.abs(other.at - at) < MERGE_PX);
    if (near) near.more += 1;
    else groups.push({ rebalance, at, more: 0 });
  }
  groups.sort((a, b) => a.at - b.at);
  // With its count a flag is wider: what would stand on it joins it.
  for (let i = 0; i + 1 < groups.length; ) {
    const [left, right] = [groups[i], groups[i + 1]];
    if (!left || !right || right.at - left.at >= boxOf(left.more)) i += 1;
    else {
      const [worse, other] = worseFirst(left.rebalance, right.rebalance) <= 0 ? [left, right] : [right, left];
      groups.splice(i, 2, { ...worse, more: worse.more + other.more + 1 });
      i = Math.max(0, i - 1);
    }
  }
  const boxes = groups.map(({ at, more }) => {
    const width = boxOf(more);
    const left = Math.max(-1, Math.min(at - GLYPH_PX / 2, scale.width - width));
    return { left, right: left + width };
  });
  // At the end a flag is pushed back by its width: those before it give way.
  for (let i = boxes.length - 2; i >= 0; i--) {
    const [box, next] = [boxes[i], boxes[i + 1]];
    const over = box && next ? box.right - next.left : 0;
    if (!box || over <= 0) continue;
    box.left -= over;
    box.right -= over;
  }
  const free = (i: number, left: number, right: number) =>
    left >= -1 && right <= scale.width + 2 && boxes.every((other, j) => j === i || left >= other.right || right <= other.left);
  return groups.map(({ rebalance, at, more }, i) => {
    const box = boxes[i] ?? { left: 0, right: 0 };
    const width = box.right - box.left + PADDING_PX + measure(rebalance);
    if (free(i, box.left, box.left + width)) {
      box.right = box.left + width;
      return { rebalance, more, at, left: box.left, words: "right" as const };
    }
    if (free(i, box.right - width, box.right)) {
      box.left = box.right - width;
      return { rebalance, more, at, left: box.left, words: "left" as const };
    }
    return { rebalance, more, at, left: box.left, words: "none" as const };
  });
}

/** A glyph, and +3 or +12 beside it. */
function boxOf(more: number): number {
  return GLYPH_PX + (more > 0 ? 12 + 7 * String(more).length : 0);
}

function worseFirst(a: Brief, b: Brief): number {
  return (b.dark_max_ms ?? -1) - (a.dark_max_ms ?? -1) || b.noticed_at - a.noticed_at || (a.id < b.id ? -1 : 1);
}
