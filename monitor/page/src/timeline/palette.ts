// The theme's colours and the patterns made of them, built once per theme and density.

import { hue, pattern } from "../colour";

export class Palette {
  readonly bg: string;
  readonly lane: string;
  readonly rule: string;
  readonly ink: string;
  readonly ink2: string;
  readonly ink3: string;
  readonly att: string;
  readonly font: string;
  private readonly hues: string[];
  private readonly fills = new Map<string, CanvasPattern | string>();
  private readonly widths = new Map<string, number>();

  constructor(readonly density: number) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    this.bg = colour("bg");
    this.lane = colour("lane");
    this.rule = colour("rule");
    this.ink = colour("ink");
    this.ink2 = colour("ink2");
    this.ink3 = colour("ink3");
    this.att = colour("att");
    this.hues = Array.from({ length: 8 }, (_, i) => colour(`c${i}`));
    this.font = getComputedStyle(document.body).fontFamily;
  }

  colour(slot: number): string {
    return this.hues[hue(slot)] ?? this.ink3;
  }

  /** Black or white, whichever reads better on the slot's colour. */
  inkOn(slot: number): string {
    return luminance(this.colour(slot)) > 0.179 ? "#000000" : "#ffffff";
  }

  /** A bar of this height, filled from its upper left corner. */
  bar(slot: number, height: number): CanvasPattern | string {
    const kind = pattern(slot);
    const colour = this.colour(slot);
    if (kind === 0) return colour;
    return this.made(`bar ${slot} ${height}`, 36, height, (ctx) => {
      ctx.fillStyle = colour;
      ctx.fillRect(0, 0, 36, height);
      ctx.fillStyle = luminance(colour) > 0.18 ? "rgba(0,0,0,.3)" : "rgba(255,255,255,.3)";
      if (kind === 1) ctx.fillRect(0, Math.round(height / 2) - 1, 36, height > 8 ? 2 : 1);
      const dot = height > 8 ? 3 : 2;
      if (kind === 2) for (let at = 0; at < 36; at += 9) ctx.fillRect(at, Math.round((height - dot) / 2), dot, dot);
      if (kind === 3) for (let at = 0; at < 36; at += 12) ctx.fillRect(at, 0, 2, height);
    });
  }

  /** Diagonals: dark time, and nothing else. */
  hatch(colour: string): CanvasPattern | string {
    return this.made(`hatch ${colour}`, 6, 6, (ctx) => {
      ctx.fillStyle = this.bg;
      ctx.fillRect(0, 0, 6, 6);
      ctx.strokeStyle = colour;
      ctx.lineWidth = 2.6;
      ctx.beginPath();
      for (const at of [-6, 0, 6]) {
        ctx.moveTo(at - 1, 7);
        ctx.lineTo(at + 7, -1);
      }
      ctx.stroke();
    });
  }

  /** Not recorded. */
  dots(): CanvasPattern | string {
    return this.made("dots", 6, 6, (ctx) => {
      ctx.fillStyle = this.bg;
      ctx.fillRect(0, 0, 6, 6);
      ctx.fillStyle = this.ink3;
      ctx.beginPath();
      ctx.arc(1.5, 1.5, 0.9, 0, 7);
      ctx.arc(4.5, 4.5, 0.9, 0, 7);
      ctx.fill();
    });
  }

  width(ctx: CanvasRenderingContext2D, text: string, font: string): number {
    const key = `${font}${text}`;
    let width = this.widths.get(key);
    if (width === undefined) {
      ctx.font = font;
      width = ctx.measureText(text).width;
      if (this.widths.size > 2000) this.widths.clear();
      this.widths.set(key, width);
    }
    return width;
  }

  private made(key: string, width: number, height: number, draw: (ctx: CanvasRenderingContext2D) => void): CanvasPattern | string {
    const known = this.fills.get(key);
    if (known) return known;
    const tile = document.createElement("canvas");
    tile.width = Math.round(width * this.density);
    tile.height = Math.round(height * this.density);
    const ctx = tile.getContext("2d");
    if (!ctx) return this.ink3;
    ctx.scale(this.density, this.density);
    draw(ctx);
    const fill = ctx.createPattern(tile, "repeat") ?? this.ink3;
    if (typeof fill !== "string") fill.setTransform(new DOMMatrix().scale(1 / this.density));
    this.fills.set(key, fill);
    return fill;
  }
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
    const value = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The context of a canvas of these CSS pixels, cleared and ready; it is only resized when it has to be. */
export function fitted(canvas: HTMLCanvasElement, width: number, height: number, density: number): CanvasRenderingContext2D | null {
  const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(density, 0, 0, density, 0, 0);
  ctx?.clearRect(0, 0, width, height);
  return ctx;
}
