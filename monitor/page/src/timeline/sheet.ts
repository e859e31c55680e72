// A drawing that is wider than the window, so that moving the window is one copy of pixels.

import type { Scale } from "./geometry";

/** Of the window, on each side. */
const MARGIN = 0.5;

export class Sheet {
  private readonly canvas = document.createElement("canvas");
  private drawn: Scale | null = null;
  private key = "";
  private parts: readonly unknown[] = [];

  /**
   * Copies what the scale shows onto `target`; `draw` is called where the sheet does not have it, or when one of `parts`
   * is another than before. Gives the scale as it was copied: to whole pixels.
   */
  copy(
    target: CanvasRenderingContext2D,
    scale: Scale,
    height: number,
    density: number,
    parts: readonly unknown[],
    draw: (ctx: CanvasRenderingContext2D, scale: Scale) => void,
  ): Scale {
    const ms = scale.to - scale.from;
    const key = `${ms} ${scale.width} ${height} ${density}`;
    const fits = this.drawn && key === this.key && scale.from >= this.drawn.from && scale.to <= this.drawn.to;
    if (!fits || parts.length !== this.parts.length || parts.some((part, i) => part !== this.parts[i])) {
      this.drawn = this.redraw(scale, ms, height, density, draw);
      this.key = key;
      this.parts = parts;
    }
    const drawn = this.drawn ?? scale;
    const perMs = (scale.width / ms) * density;
    const left = Math.round((scale.from - drawn.from) * perMs);
    const [wide, tall] = [Math.round(scale.width * density), Math.round(height * density)];
    target.drawImage(this.canvas, left, 0, wide, tall, 0, 0, scale.width, height);
    const from = drawn.from + left / perMs;
    return { from, to: from + ms, width: scale.width };
  }

  private redraw(scale: Scale, ms: number, height: number, density: number, draw: (ctx: CanvasRenderingContext2D, scale: Scale) => void): Scale {
    const drawn = { from: scale.from - ms * MARGIN, to: scale.to + ms * MARGIN, width: scale.width * (1 + 2 * MARGIN) };
    const [wide, tall] = [Math.round(drawn.width * density), Math.round(height * density)];
    if (this.canvas.width !== wide || this.canvas.height !== tall) {
      this.canvas.width = wide;
      this.canvas.height = tall;
    }
    const ctx = this.canvas.getContext("2d");
    if (!ctx) return drawn;
    ctx.setTransform(density, 0, 0, density, 0, 0);
    ctx.clearRect(0, 0, drawn.width, height);
    draw(ctx, drawn);
    return drawn;
  }
}
