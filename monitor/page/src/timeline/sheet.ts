// A drawing that is wider than the window. It is moved under it, so that to look elsewhere costs no drawing: the
// browser shifts pixels that it has.

import { h } from "../dom";
import type { Scale } from "./geometry";
import { fitted } from "./palette";

/** Of the window, on each side. */
const MARGIN = 0.5;

export interface Placed {
  /** What is drawn, and where it begins, in pixels left of the window. */
  readonly drawn: Scale;
  readonly left: number;
  /** The window, moved to a whole pixel of the drawing. */
  readonly window: Scale;
  /** It was drawn anew. */
  readonly fresh: boolean;
}

export class Sheet {
  readonly canvas = h("canvas", { class: "sheet", "aria-hidden": "true" });
  private drawn: Scale | null = null;
  private key = "";
  private parts: readonly unknown[] = [];

  /** `draw` is called where the sheet does not have the window, or when one of `parts` is another than before. */
  place(window: Scale, height: number, density: number, parts: readonly unknown[], draw: (ctx: CanvasRenderingContext2D, scale: Scale) => void): Placed {
    const ms = window.to - window.from;
    const key = `${ms} ${window.width} ${height} ${density}`;
    const has = this.drawn !== null && key === this.key && window.from >= this.drawn.from && window.to <= this.drawn.to;
    const fresh = !has || parts.length !== this.parts.length || parts.some((part, i) => part !== this.parts[i]);
    if (fresh || !this.drawn) {
      this.drawn = { from: window.from - ms * MARGIN, to: window.to + ms * MARGIN, width: window.width * (1 + 2 * MARGIN) };
      this.key = key;
      this.parts = parts;
      const ctx = fitted(this.canvas, this.drawn.width, height, density);
      if (ctx) draw(ctx, this.drawn);
      this.canvas.style.width = `${this.drawn.width}px`;
    }
    const perMs = window.width / ms;
    const left = Math.round((window.from - this.drawn.from) * perMs * density) / density;
    shift(this.canvas, -left);
    const from = this.drawn.from + left / perMs;
    return { drawn: this.drawn, left, window: { from, to: from + ms, width: window.width }, fresh };
  }
}

const shifted = new WeakMap<HTMLElement, number>();

/** Moves an element sideways; nothing happens where it is there already. */
export function shift(element: HTMLElement, px: number): void {
  if (shifted.get(element) === px) return;
  shifted.set(element, px);
  element.style.transform = `translateX(${px}px)`;
}
