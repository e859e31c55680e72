// One group's board: head, lanes on a canvas, flags over them, gutters beside them.

import { causeWord, clause, glyph } from "../causes";
import { attribute, h, text } from "../dom";
import { clock, count, duration } from "../format";
import { type Instant, type Standing, lane } from "../instant";
import type { Brief, CurvePoint, Group, GroupNow, Ownership } from "../record";
import { drawSheet, highest } from "./draw";
import { type Flag, flags } from "./flags";
import { type Layout, type Scale, type Screen, inside, layout, x } from "./geometry";
import { Gutter } from "./gutter";
import { Head, owners } from "./head";
import { type Palette, fitted } from "./palette";
import { Sheet } from "./sheet";

/** What a board shows, and for which instant. */
export interface Shown {
  readonly group: Group;
  readonly ownership: Ownership;
  readonly now: GroupNow | undefined;
  readonly points: readonly CurvePoint[];
  readonly rebalances: readonly Brief[];
  readonly standings: readonly Standing[];
  readonly instant: Instant;
  readonly byOwner: boolean;
  readonly screen: Screen;
  readonly lit: number | null;
  readonly story: string | null;
  /** The stream is not live: facts end here. */
  readonly factsEnd: number | null;
  /** What is right of it is not of the instant. */
  readonly cursor: number | null;
}

const LINE_APART_PX = 48;

export class Board {
  readonly element: HTMLElement;
  readonly middle: HTMLElement;
  shown: Shown | null = null;
  layout: Layout | null = null;
  private readonly head: Head;
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly flagLine = h("div", { class: "flags" });
  private readonly gutter = new Gutter();
  private readonly sheet = new Sheet();
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private order = "";

  constructor(
    lit: (slot: number | null) => void,
    private readonly open: (id: string) => void,
  ) {
    this.head = new Head(lit);
    this.middle = h("div", { class: "mid" }, this.canvas, this.flagLine);
    this.element = h("div", { class: "board" }, this.head.element, h("div", { class: "row3" }, this.gutter.left, this.middle, this.gutter.right));
  }

  /** What is in words beside the lanes. */
  update(shown: Shown, scale: Scale): void {
    this.shown = shown;
    const held = owners(shown.group, shown.instant);
    const order = `${held.join()} ${shown.byOwner} ${shown.group.lanes.length} ${shown.screen.wall} ${shown.screen.phone}`;
    if (order !== this.order || !this.layout) {
      this.order = order;
      this.layout = layout(shown.group, shown.byOwner ? held : [], shown.byOwner, shown.screen);
    }
    this.head.draw(shown.group, shown.now, shown.standings, shown.instant);
    const near = { points: shown.points, scale };
    const tops = { rate: count(highest(near, (point) => point.stored_rows_per_second)), lag: count(highest(near, (point) => point.lag_records)) };
    const point = pointAt(shown.points, shown.instant.at);
    const lags = shown.group.lanes.map(({ partition }) => shown.instant.held.get(lane(shown.group, partition))?.lag ?? null);
    const lag = shown.instant.past ? (point?.lag_records ?? null) : lags.some((one) => one !== null) ? lags.reduce<number>((sum, one) => sum + (one ?? 0), 0) : null;
    this.gutter.draw(shown.group, this.layout, shown.instant, tops, {
      rate: point?.stored_rows_per_second === null || point === null ? "" : `${count(point.stored_rows_per_second)} /s`,
      lag: lag === null ? "" : `${count(lag)} records`,
    });
  }

  /** The quick part, for every frame. */
  paint(palette: Palette, wanted: Scale, size: number): void {
    const { shown, layout: placed } = this;
    if (!shown || !placed) return;
    const ctx = fitted(this.canvas, wanted.width, placed.height, palette.density);
    if (!ctx) return;
    const { group, ownership, points, lit } = shown;
    const tickApart = size * 8;
    const parts = [palette, placed, group, ownership, points, lit];
    const scale = this.sheet.copy(ctx, wanted, placed.height, palette.density, parts, (sheet, wide) =>
      drawSheet(sheet, palette, { group, layout: placed, scale: wide, ownership, points, tickApart, lit }),
    );
    this.names(ctx, palette, scale, size);
    if (shown.factsEnd !== null) this.end(ctx, palette, scale, shown.factsEnd, size);
    if (ownership.recorded_since !== null) this.beginning(ctx, palette, scale, ownership.recorded_since, size);
    if (shown.cursor !== null) {
      ctx.globalAlpha = 0.4;
      ctx.fillStyle = palette.bg;
      const at = Math.max(0, x(scale, shown.cursor));
      ctx.fillRect(at, placed.top - 2, scale.width - at, placed.height);
      ctx.globalAlpha = 1;
    }
    this.drawFlags(ctx, palette, scale, size);
  }

  /** Full names or short ones at the head of each span that has room for them. */
  private names(ctx: CanvasRenderingContext2D, palette: Palette, scale: Scale, size: number): void {
    const { shown, layout: placed } = this;
    if (!shown || !placed || placed.pitch < 12) return;
    const px = placed.pitch >= 17 ? size : Math.min(size, 10);
    const font = `600 ${px}px ${palette.font}`;
    ctx.textBaseline = "middle";
    const names = new Map([...shown.instant.marks].map(([id, mark]) => [mark.slot, { id, short: mark.short }]));
    const firstOnly = scale.to - scale.from > 6 * 3_600_000;
    shown.group.lanes.forEach((one, i) => {
      const y = placed.y[i] ?? 0;
      for (const span of one.spans) {
        const dark = one.dark.find((piece) => piece.until !== null && piece.from <= span.from + 50 && piece.until > span.from && piece.until <= (span.until ?? Number.POSITIVE_INFINITY));
        const at = inside(scale, { from: dark?.until ?? span.from, until: span.until });
        const name = names.get(span.slot);
        if (!at || !name || (firstOnly && at[0] > 0)) continue;
        const long = placed.pitch >= 17 && at[1] - at[0] > 150 && name.id.length <= 28;
        const said = long ? name.id : name.short;
        const width = palette.width(ctx, said, font);
        if (at[1] - at[0] < width + 12) continue;
        ctx.globalAlpha = shown.lit !== null && shown.lit !== span.slot ? 0.3 : 1;
        ctx.fillStyle = palette.colour(span.slot);
        ctx.fillRect(at[0] + 2, y, width + 7, placed.bar);
        ctx.fillStyle = palette.inkOn(span.slot);
        ctx.font = font;
        ctx.fillText(said, at[0] + 5, y + placed.bar / 2 + 0.5);
      }
    });
    ctx.globalAlpha = 1;
  }

  private end(ctx: CanvasRenderingContext2D, palette: Palette, scale: Scale, at: number, size: number): void {
    const { layout: placed } = this;
    const left = x(scale, at);
    if (!placed || left >= scale.width) return;
    const from = Math.max(0, left);
    ctx.fillStyle = palette.bg;
    ctx.fillRect(from, placed.top - 2, scale.width - from, placed.height);
    ctx.fillStyle = palette.att;
    ctx.fillRect(from, placed.top - 2, 1.5, placed.height);
    ctx.font = `500 ${size}px ${palette.font}`;
    ctx.textBaseline = "middle";
    if (scale.width - from > ctx.measureText("no facts yet").width + 12) ctx.fillText("no facts yet", from + 6, placed.top + placed.bar / 2);
  }

  private beginning(ctx: CanvasRenderingContext2D, palette: Palette, scale: Scale, at: number, size: number): void {
    const { layout: placed } = this;
    const right = x(scale, at);
    if (!placed || right <= 1) return;
    const end = Math.min(right, scale.width);
    ctx.font = `${size}px ${palette.font}`;
    ctx.textBaseline = "middle";
    const said = `nothing recorded before ${clock(at)}`;
    const width = ctx.measureText(said).width + 12;
    ctx.fillStyle = palette.ink3;
    ctx.fillRect(end - 1, placed.top - 2, 1, placed.lanesEnd - placed.top + 2);
    if (end < width) return;
    ctx.fillStyle = palette.lane;
    ctx.fillRect(end - width, placed.top, width - 2, placed.bar);
    ctx.fillStyle = palette.ink2;
    ctx.fillText(said, end - width + 5, placed.top + placed.bar / 2 + 0.5);
  }

  private drawFlags(ctx: CanvasRenderingContext2D, palette: Palette, scale: Scale, size: number): void {
    const { shown, layout: placed } = this;
    if (!shown || !placed) return;
    ctx.fillStyle = palette.ink;
    const inView = shown.rebalances.filter(({ noticed_at }) => noticed_at >= scale.from && noticed_at <= scale.to);
    // Many lines would hide the dark marks that they point at.
    const through = inView.length < scale.width / LINE_APART_PX;
    for (const { id, noticed_at } of inView) {
      const open = id === shown.story;
      ctx.globalAlpha = open ? 1 : 0.5;
      ctx.fillRect(Math.round(x(scale, noticed_at)), placed.top - 3, open ? 2 : 1, through || open ? placed.lanesEnd - placed.top + 3 : 3);
    }
    ctx.globalAlpha = 1;
    const font = `500 ${size}px ${palette.font}`;
    const list = flags(scale, shown.rebalances, (rebalance) => palette.width(ctx, words(rebalance), font));
    const wanted = new Set(list.map(({ rebalance }) => rebalance.id));
    for (const [id, button] of this.buttons) {
      if (wanted.has(id)) continue;
      button.remove();
      this.buttons.delete(id);
    }
    for (const flag of list) this.flag(flag, shown);
  }

  private flag(flag: Flag, shown: Shown): void {
    const { rebalance } = flag;
    let button = this.buttons.get(rebalance.id);
    if (!button) {
      const id = rebalance.id;
      button = h("button", { type: "button", class: "flag", onclick: () => this.open(id) }, glyph(rebalance.cause), h("span"), h("b"), h("i"));
      button.dataset.cause = rebalance.cause;
      this.buttons.set(id, button);
      this.flagLine.append(button);
    }
    if (button.dataset.cause !== rebalance.cause) {
      button.dataset.cause = rebalance.cause;
      button.firstElementChild?.replaceWith(glyph(rebalance.cause));
    }
    const [, word, worst, more] = button.children;
    if (!word || !worst || !more) return;
    text(word, causeWord(rebalance.cause));
    text(worst, rebalance.dark_max_ms === null ? "" : duration(rebalance.dark_max_ms));
    text(more, flag.more > 0 ? `+${flag.more}` : "");
    attribute(button, "data-words", flag.words);
    attribute(button, "aria-current", shown.story === rebalance.id ? "true" : null);
    attribute(button, "aria-label", label(flag, shown));
    const moved = `translateX(${Math.round(flag.left)}px)`;
    if (button.style.transform !== moved) button.style.transform = moved;
  }
}

function words({ cause, dark_max_ms }: Brief): string {
  return `${causeWord(cause)} ${dark_max_ms === null ? "" : duration(dark_max_ms)}`;
}

/** "crash 6.4 s at 14:03:07 in sensors: sensor-consumer-1 died without leaving, dark up to 6.4 s". */
function label({ rebalance, more, words: room }: Flag, shown: Shown): string {
  const shownWords = room === "none" ? "" : `${words(rebalance)} `;
  const dark = rebalance.dark_max_ms === null ? "" : `, dark up to ${duration(rebalance.dark_max_ms)}`;
  return `${shownWords}${more > 0 ? `+${more} ` : ""}at ${clock(rebalance.noticed_at)} in ${shown.group.group_id}: ${clause(rebalance)}${dark}`;
}

/** The last point up to an instant; null where that is long before it. */
function pointAt(points: readonly CurvePoint[], at: number): CurvePoint | null {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.at ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  const found = points[low - 1] ?? null;
  const step = points.length > 1 ? ((points.at(-1)?.at ?? 0) - (points[0]?.at ?? 0)) / (points.length - 1) : 0;
  return found && at - found.at <= Math.max(10_000, 3 * step) ? found : null;
}
