// The timeline: a board per group on one time axis, the rail over them, the last day under them. It moves with the
// clock by whole pixels on its own; everything in words follows the model.

import { attribute, byId, h, text } from "../dom";
import { clock, moment } from "../format";
import { type Instant, instantOf } from "../instant";
import { type Model, isPast, known, present } from "../model";
import type { Ownership } from "../record";
import { tail } from "../recording";
import { standings } from "../standing";
import { Board } from "../timeline/board";
import { type Scale, type Screen, MANY_LANES, time, x } from "../timeline/geometry";
import { type Place, input } from "../timeline/input";
import { Palette } from "../timeline/palette";
import { drawRail } from "../timeline/rail";
import { drawStrip } from "../timeline/strip";
import { shift } from "../timeline/sheet";
import { tip } from "../timeline/tip";
import { type Tools, tools } from "../timeline/tools";
import { describe, tables } from "../timeline/words";
import { DAY, type Move, type View, edge, isLive } from "../view";

const EMPTY: Ownership = { from: 0, to: 0, as_of: 0, recorded_since: null, bucket_ms: null, consumers: [], groups: [], blind: [], brokers: [], drills: [], curves: [], rebalances: [] };
/** Faster than this nothing is gained. */
const FRAME_MS = 16;
const STRIP_MS = 5000;
const SAID_MS = 1000;

export function timeline(move: (move: Move) => void, open: (id: string) => void): (model: Model, due: boolean) => void {
  return new Timeline(move, open).draw;
}

class Timeline {
  private readonly root = h("div", { id: "timeline", tabindex: "0", role: "group", "aria-roledescription": "ownership timeline", "aria-labelledby": "partitions-title", "aria-describedby": "timeline-words" });
  private readonly words = h("p", { id: "timeline-words", class: "sr" });
  private readonly table = h("div", { id: "table", tabindex: "0", role: "region", "aria-label": "Who owned what, as tables", hidden: true });
  private readonly blank = h("div", { class: "blank", hidden: true });
  private readonly rail = h("canvas", { "aria-hidden": "true" });
  private readonly strip = h("canvas", { "aria-hidden": "true" });
  private readonly stripWindow = h("i", { class: "window" });
  private readonly stripRow = h("div", { class: "row3 strip" }, h("div", { class: "glab", "aria-hidden": "true" }, h("span", {}, "24 h")), h("div", { class: "mid" }, this.strip, this.stripWindow), h("div"));
  private readonly cursor = h("div", { id: "cursor", hidden: true, "aria-hidden": "true" }, h("span"));
  private readonly boards = new Map<string, Board>();
  private readonly tools: Tools;
  private readonly reduced = matchMedia("(prefers-reduced-motion: reduce)");
  private palette: Palette | null = null;
  private theme = "";
  private width = 0;
  private model: Model | null = null;
  private frame = 0;
  private painted = 0;
  private stripAt = 0;
  private stripKey = "";
  private hovered: number | null = null;
  private described = 0;
  private form: readonly unknown[] = [];
  private readonly tip = tip();

  constructor(
    private readonly move: (move: Move) => void,
    private readonly open: (id: string) => void,
  ) {
    this.tools = tools(move);
    const railRow = h("div", { class: "row3 rail" }, h("div"), h("div", { class: "mid" }, this.rail), h("div"));
    this.root.append(railRow, this.stripRow, this.cursor);
    byId("partitions").append(h("h2", { id: "partitions-title", class: "sr" }, "Who owns what"), this.tools.element, this.blank, this.root, this.words, this.table);
    new ResizeObserver(() => this.resized()).observe(this.rail);
    input(this.root, (event) => this.place(event), move, (event) => this.hover(event));
  }

  /** `due`: what is in words follows as well; else only where what is shown is another thing. */
  readonly draw = (model: Model, due: boolean): void => {
    this.model = model;
    const { near, story } = model.recording;
    const { view } = model;
    const form = [near, story?.id, view.lit, view.order, view.table, view.ms, view.pixels, view.cursor, view.paused, isPast(model), model.link.is];
    if (!due && form.every((part, i) => part === this.form[i])) {
      this.paint();
      return;
    }
    this.form = form;
    const instant = instantOf(model);
    this.tools.draw(view, Math.max(0, ...instant.groups.map(({ lanes }) => lanes.length)));
    const firstRun = instant.groups.length === 0;
    this.blank.hidden = !firstRun;
    this.root.hidden = firstRun || view.table;
    this.table.hidden = firstRun || !view.table;
    if (firstRun) return this.welcome(model);
    this.boardsOf(model, instant);
    if (performance.now() - this.described >= SAID_MS) {
      this.described = performance.now();
      text(this.words, describe(model, instant));
      // A table that is rebuilt loses the reader's place: not more often than this.
      if (view.table) this.table.replaceChildren(...tables(model, instant));
    }
    this.paint();
  };

  private boardsOf(model: Model, instant: Instant): void {
    const ownership = model.recording.near ?? EMPTY;
    const all = standings(model);
    const keys = new Set<string>();
    const scale = this.scale(model, present(model));
    for (const group of instant.groups) {
      const key = `${group.group_id}\n${group.topic}`;
      keys.add(key);
      let board = this.boards.get(key);
      if (!board) {
        board = new Board((slot) => this.move((view) => ({ ...view, lit: slot })), this.open);
        this.boards.set(key, board);
        this.stripRow.before(board.element);
      }
      board.update(
        {
          group,
          ownership,
          now: model.state?.groups?.find(({ group_id, topic }) => group_id === group.group_id && topic === group.topic),
          points: this.points(model, ownership, group),
          rebalances: this.rebalancesOf(ownership, group.group_id),
          standings: all.filter(({ group_id }) => group_id === group.group_id),
          instant,
          byOwner: model.view.order === "owner",
          screen: screen(),
          lit: model.view.lit,
          story: model.recording.story?.id ?? null,
          factsEnd: model.link.is === "stale" || model.link.is === "down" ? known(model) : null,
          cursor: model.recording.story ? null : model.view.cursor,
        },
        scale,
      );
    }
    for (const [key, board] of this.boards) {
      if (keys.has(key)) continue;
      board.element.remove();
      this.boards.delete(key);
    }
    // The record may have told of its groups before the stream told in which order they come.
    if ([...this.boards.keys()].join() === [...keys].join()) return;
    const before = new Map(this.boards);
    this.boards.clear();
    for (const key of keys) {
      const board = before.get(key);
      if (!board) continue;
      this.boards.set(key, board);
      this.stripRow.before(board.element);
    }
  }

  private readonly split = new Map<string, { of: unknown; rebalances: Ownership["rebalances"] }>();
  /** The same list for the same answer, so that nothing is drawn anew for it. */
  private rebalancesOf({ rebalances: all }: Ownership, group: string): Ownership["rebalances"] {
    const before = this.split.get(group);
    if (before?.of === all) return before.rebalances;
    const rebalances = all.filter(({ group_id }) => group_id === group);
    this.split.set(group, { of: all, rebalances });
    return rebalances;
  }

  private joined = new Map<string, { of: readonly unknown[]; points: ReturnType<typeof tail> }>();
  private points(model: Model, ownership: Ownership, group: { group_id: string; topic: string }) {
    const recorded = ownership.curves.find(({ group_id }) => group_id === group.group_id)?.points ?? [];
    const live = model.curves.get(group.topic) ?? [];
    // Another group's answer, or one of long ago, has no end that the stream's points could go on from.
    const fresh = ownership.bucket_ms === null && recorded.length > 0 && ownership.to > present(model) - 120_000 ? live : recorded.length === 0 && ownership === EMPTY ? live : [];
    const before = this.joined.get(group.group_id);
    if (before && before.of[0] === recorded && before.of[1] === fresh) return before.points;
    const points = tail(recorded, fresh);
    this.joined.set(group.group_id, { of: [recorded, fresh], points });
    return points;
  }

  private scale(model: Model, now: number): Scale {
    const end = edge(model.view, now);
    return { from: end - model.view.ms, to: end, width: Math.max(1, this.width) };
  }

  /** Everything that moves with the clock; the next frame is asked for when it has moved by a pixel. */
  private readonly paint = (): void => {
    cancelAnimationFrame(this.frame);
    const { model } = this;
    if (!model || this.root.hidden || this.width === 0) return;
    const now = Date.now() + model.ahead;
    this.painted = performance.now();
    const look = `${document.documentElement.dataset.theme ?? ""} ${matchMedia("(prefers-color-scheme: dark)").matches} ${devicePixelRatio} ${document.fonts.status}`;
    if (!this.palette || look !== this.theme) {
      this.palette = new Palette(Math.min(3, devicePixelRatio || 1));
      this.theme = look;
      this.stripAt = 0;
    }
    const scale = this.scale(model, now);
    const size = screen().wall ? 15 : 11;
    drawRail(this.rail, this.palette, scale, model.recording.near, now, isLive(model.view), size);
    for (const board of this.boards.values()) board.paint(this.palette, scale, size, now);
    this.paintStrip(model, scale, now, size);
    this.placeCursor(model.view, scale);
    if (isLive(model.view)) {
      const wait = this.reduced.matches ? 1000 : Math.max(FRAME_MS, Math.min(1000, model.view.ms / this.width / 2));
      const next = () => (performance.now() - this.painted >= wait ? this.paint() : (this.frame = requestAnimationFrame(next)));
      if (wait < 250) this.frame = requestAnimationFrame(next);
    }
  };

  private paintStrip(model: Model, scale: Scale, now: number, size: number): void {
    const day = model.recording.day;
    const at = { from: now - DAY, to: now, width: scale.width };
    const left = Math.max(0, Math.min(scale.width - 5, Math.round(x(at, scale.from))));
    const wide = `${Math.max(5, Math.round(Math.min(scale.width, x(at, scale.to))) - left)}px`;
    this.stripWindow.hidden = x(at, scale.to) < 0;
    shift(this.stripWindow, left);
    if (this.stripWindow.style.width !== wide) this.stripWindow.style.width = wide;
    const key = `${scale.width} ${day?.as_of} ${day?.rebalances.length}`;
    if (key === this.stripKey && performance.now() - this.stripAt < STRIP_MS) return;
    this.stripKey = key;
    this.stripAt = performance.now();
    if (this.palette) drawStrip(this.strip, this.palette, scale.width, day, now, size);
  }

  private placeCursor(view: View, scale: Scale): void {
    const at = view.cursor ?? this.hovered;
    const px = at === null ? -1 : x(scale, at);
    const hidden = at === null || px < 0 || px > scale.width;
    if (this.cursor.hidden !== hidden) this.cursor.hidden = hidden;
    if (hidden || at === null) return;
    attribute(this.cursor, "class", view.cursor === null ? "hover" : null);
    shift(this.cursor, Math.round(px));
    const label = this.cursor.firstElementChild;
    if (label) text(label, clock(at, view.ms <= 900_000 ? 1 : 0));
  }

  private place(event: MouseEvent): Place | null {
    const { model } = this;
    if (!model) return null;
    const box = this.rail.getBoundingClientRect();
    const px = event.clientX - box.left;
    if (px < 0 || px > box.width) return null;
    const now = present(model);
    const scale = { ...this.scale(model, now), width: box.width };
    const strip = event.clientY >= this.strip.getBoundingClientRect().top;
    return {
      at: strip ? now - DAY + (px / box.width) * DAY : time(scale, px),
      strip,
      perPixel: strip ? 0 : model.view.ms / box.width,
      end: scale.to,
      ms: model.view.ms,
    };
  }

  private hover(event: PointerEvent | null): void {
    const at = event ? this.place(event) : null;
    this.hovered = at && !at.strip && event?.pointerType === "mouse" ? at.at : null;
    const { model } = this;
    if (model) this.placeCursor(model.view, this.scale(model, present(model)));
    this.tip(this.hovered === null || !event ? null : event, this.hovered ?? 0, model, this.boards.values());
  }

  private resized(): void {
    const width = this.rail.clientWidth;
    if (width === this.width || width === 0) return;
    this.width = width;
    this.stripAt = 0;
    this.move((view) => ({ ...view, pixels: width }));
  }

  private welcome(model: Model): void {
    const since = model.recording.near?.recorded_since ?? null;
    const up = model.state ? `Millrace is connected to ${model.state.system.brokers.filter(({ up: is }) => is).length} brokers${model.state.system.database.up ? " and to Postgres" : ""}, and waits for the first consumer to join a group.` : "Nothing was heard of the monitor yet.";
    const recording = since === null ? "" : ` Recording began at ${moment(since, present(model))} UTC; nothing before that is known.`;
    if (this.blank.dataset.said === up + recording) return;
    this.blank.dataset.said = up + recording;
    this.blank.replaceChildren(
      h("h3", {}, "Nothing has happened yet."),
      h("p", { class: "dim" }, up, " Start one with ", h("code", {}, "make start NAME=sensor-consumer-1"), ".", recording),
    );
  }
}

export function screen(): Screen {
  return { wall: innerWidth >= 2200, phone: innerWidth < 641 };
}

/** Whether lanes are better ordered by owner, until somebody chose. */
export function manyLanes(lanes: number): boolean {
  return lanes > MANY_LANES;
}
