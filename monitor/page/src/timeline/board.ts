// One group's board: head, lanes on a canvas, flags over them, gutters beside them.

import { causeWord, clause, glyph } from "../causes";
import { attribute, h, text } from "../dom";
import { clock, count, duration } from "../format";
import { type Instant, lane } from "../instant";
import type { Brief, CurvePoint, Group, GroupNow, Ownership } from "../record";
import type { Standing } from "../standing";
import { drawSheet, highest } from "./draw";
import { type Flag, flags } from "./flags";
import { type Layout, type Scale, type Screen, layout, x } from "./geometry";
import { Gutter } from "./gutter";
import { Head, owners } from "./head";
import { type Palette, fitted } from "./palette";
import { EDGE_PX, type Named, drawEdgeNames, drawNames, edgeNames } from "./names";
import { Sheet, shift } from "./sheet";

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
/** Room for its words. */
const ENDED_PX = 90;
/** A flag without words. */
const FLAG_PX = 18;

export class Board {
  readonly element: HTMLElement;
  readonly middle: HTMLElement;
  shown: Shown | null = null;
  layout: Layout | null = null;
  private readonly head: Head;
  private readonly flagLine = h("div", { class: "flags" });
  private readonly edges = h("canvas", { class: "edges", "aria-hidden": "true" });
  private readonly fade = h("div", { class: "fade", hidden: true });
  private readonly ended = h("div", { class: "ended", hidden: true, "aria-hidden": "true" });
  private readonly gutter = new Gutter();
  private readonly sheet = new Sheet();
  private readonly buttons = new Map<string, { button: HTMLButtonElement; left: number }>();
  private edgeKey = "";
  private marked: unknown = null;
  private named: Named["names"] = new Map();
  private order = "";
  private form = "";

  constructor(
    lit: (slot: number | null) => void,
    private readonly open: (id: string) => void,
  ) {
    this.head = new Head(lit);
    this.middle = h("div", { class: "mid" }, this.sheet.canvas, this.edges, this.fade, this.ended, this.flagLine);
    this.element = h("div", { class: "board" }, this.head.element, h("div", { class: "row3" }, this.gutter.left, this.middle, this.gutter.right));
  }

  /** What is in words beside the lanes. */
  update(shown: Shown, scale: Scale): void {
    this.shown = shown;
    this.place(shown);
    const { layout: placed } = this;
    if (!placed) return;
    this.head.draw(shown.group, shown.now, shown.standings, shown.instant);
    const near = { points: shown.points, scale };
    const tops = { rate: count(highest(near, (point) => point.stored_rows_per_second)), lag: count(highest(near, (point) => point.lag_records)) };
    const point = pointAt(shown.points, shown.instant.at);
    const lags = shown.group.lanes.map(({ partition }) => shown.instant.held.get(lane(shown.group, partition))?.lag ?? null);
    const lag = shown.instant.past ? (point?.lag_records ?? null) : lags.some((one) => one !== null) ? lags.reduce<number>((sum, one) => sum + (one ?? 0), 0) : null;
    this.gutter.draw(shown.group, placed, shown.instant, tops, {
      rate: point?.stored_rows_per_second === null || point === null ? "" : `${count(point.stored_rows_per_second)} /s`,
      lag: lag === null ? "" : `${count(lag)} records`,
    });
  }

  /** Lanes keep their places while one looks back: who moves about must not lose them. */
  private place(shown: Shown): void {
    const form = `${shown.byOwner} ${shown.group.lanes.length} ${shown.screen.wall} ${shown.screen.phone}`;
    if (this.layout && form === this.form && (shown.instant.past || !shown.byOwner)) return;
    const held = shown.byOwner ? owners(shown.group, shown.instant) : [];
    const order = `${form} ${held.join()}`;
    this.form = form;
    if (order === this.order && this.layout) return;
    this.order = order;
    this.layout = layout(shown.group, held, shown.byOwner, shown.screen);
  }

  /** The quick part, for every frame: mostly it only moves what is drawn. */
  paint(palette: Palette, wanted: Scale, size: number, now: number): void {
    const { shown, layout: placed } = this;
    if (!shown || !placed) return;
    const { group, ownership, points, lit, rebalances, story } = shown;
    const ms = wanted.to - wanted.from;
    const names = this.namesOf(shown);
    const named: Named = { group, layout: placed, names, lit, size };
    const parts = [palette, placed, group, ownership, points, lit, rebalances, story, names];
    const sheet = this.sheet.place(wanted, placed.height, palette.density, parts, (ctx, wide) => {
      drawSheet(ctx, palette, { group, layout: placed, scale: wide, ownership, points, tickApart: size * 8, lit });
      drawNames(ctx, palette, named, wide, ms, now);
      if (ownership.recorded_since !== null) drawBeginning(ctx, palette, placed, wide, ownership.recorded_since, size);
      this.drawFlags(ctx, palette, wide, now, ms, size);
    });
    if (sheet.fresh) this.middle.style.height = `${placed.height}px`;
    shift(this.flagLine, -sheet.left);
    for (const { button, left } of this.buttons.values()) {
      const away = left < sheet.left - FLAG_PX || left > sheet.left + wanted.width - FLAG_PX / 2;
      if (button.hidden !== away) button.hidden = away;
    }
    this.edge(palette, named, sheet.window, sheet.fresh);
    over(this.fade, shown.cursor, sheet.window, placed);
    over(this.ended, shown.factsEnd, sheet.window, placed);
    text(this.ended, shown.factsEnd !== null && wanted.width - x(sheet.window, shown.factsEnd) > ENDED_PX ? "no facts yet" : "");
  }

  /** Names at the left edge change seldom; only then they are drawn. */
  private edge(palette: Palette, named: Named, window: Scale, fresh: boolean): void {
    const probe = this.edges.getContext("2d");
    if (!probe) return;
    const { key, said, slots } = edgeNames(probe, palette, named, window);
    if (key === this.edgeKey && !fresh) return;
    this.edgeKey = key;
    const ctx = fitted(this.edges, EDGE_PX, named.layout.height, palette.density);
    if (ctx) drawEdgeNames(ctx, palette, named, said, slots);
  }

  private namesOf({ instant }: Shown): Named["names"] {
    if (this.marked !== instant.marks) {
      const names = new Map([...instant.marks].map(([id, { slot, short }]) => [slot, { id, short }]));
      const same = names.size === this.named.size && [...names].every(([slot, { id }]) => this.named.get(slot)?.id === id);
      if (!same) this.named = names;
      this.marked = instant.marks;
    }
    return this.named;
  }

  private drawFlags(ctx: CanvasRenderingContext2D, palette: Palette, scale: Scale, now: number, windowMs: number, size: number): void {
    const { shown, layout: placed } = this;
    if (!shown || !placed) return;
    ctx.fillStyle = palette.ink;
    // Many lines would hide the dark marks that they point at.
    const through = shown.rebalances.filter(({ noticed_at }) => noticed_at >= scale.from && noticed_at <= scale.to).length < scale.width / LINE_APART_PX;
    for (const { id, noticed_at } of shown.rebalances) {
      if (noticed_at < scale.from || noticed_at > scale.to) continue;
      const open = id === shown.story;
      ctx.globalAlpha = open ? 1 : 0.5;
      ctx.fillRect(Math.round(x(scale, noticed_at)), placed.top - 3, open ? 2 : 1, through || open ? placed.lanesEnd - placed.top + 3 : 3);
    }
    ctx.globalAlpha = 1;
    const font = `500 ${size}px ${palette.font}`;
    // Words do not go beyond now: there the board ends.
    const until = Math.min(scale.to, Math.max(now, scale.to - windowMs));
    const known = { from: scale.from, to: until, width: x(scale, until) };
    const list = flags(known, shown.rebalances, (rebalance) => palette.width(ctx, words(rebalance), font));
    const wanted = new Set(list.map(({ rebalance }) => rebalance.id));
    for (const [id, { button }] of this.buttons) {
      if (wanted.has(id)) continue;
      button.remove();
      this.buttons.delete(id);
    }
    for (const flag of list) this.flag(flag, shown);
  }

  private flag(flag: Flag, shown: Shown): void {
    const { rebalance } = flag;
    const { id } = rebalance;
    const known = this.buttons.get(id)?.button;
    const button = known ?? h("button", { type: "button", class: "flag", onclick: () => this.open(id) }, glyph(rebalance.cause), h("span"), h("b"), h("i"));
    if (!known) this.flagLine.append(button);
    this.buttons.set(id, { button, left: flag.left });
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
    attribute(button, "aria-current", shown.story === id ? "true" : null);
    attribute(button, "aria-label", label(flag, shown));
    shift(button, Math.round(flag.left));
  }
}

function drawBeginning(ctx: CanvasRenderingContext2D, palette: Palette, { top, bar, lanesEnd }: Layout, scale: Scale, at: number, size: number): void {
  const right = x(scale, at);
  if (right <= 1 || right > scale.width) return;
  ctx.font = `${size}px ${palette.font}`;
  ctx.textBaseline = "middle";
  const said = `nothing recorded before ${clock(at)}`;
  const width = ctx.measureText(said).width + 12;
  ctx.fillStyle = palette.ink3;
  ctx.fillRect(right - 1, top - 2, 1, lanesEnd - top + 2);
  if (right < width) return;
  ctx.fillStyle = palette.lane;
  ctx.fillRect(right - width, top, width - 2, bar);
  ctx.fillStyle = palette.ink2;
  ctx.fillText(said, right - width + 5, top + bar / 2 + 0.5);
}

/** Lays something over the board from an instant on. */
function over(element: HTMLElement, at: number | null, window: Scale, { top, height }: Layout): void {
  const left = at === null ? window.width : Math.max(0, Math.round(x(window, at)));
  const hidden = left >= window.width;
  if (element.hidden !== hidden) element.hidden = hidden;
  if (hidden) return;
  const tall = `${height - top + 2}px`;
  if (element.style.height !== tall) {
    element.style.height = tall;
    element.style.top = `${top - 2}px`;
  }
  shift(element, left);
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
