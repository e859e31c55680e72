import assert from "node:assert/strict";
import { test } from "node:test";
import type { Brief, Dark, Group } from "../src/record";
import { flags } from "../src/timeline/flags";
import { type Scale, breaks, inside, laneAtHeight, layout, pieces, pitch, tickText, ticks, time, x } from "../src/timeline/geometry";
import { worst } from "../src/timeline/strip";
import { DAY, MINUTE } from "../src/view";
import { ownership, world } from "./fixture/world";

const SCREEN = { wall: false, phone: false };
const scale: Scale = { from: 100_000, to: 200_000, width: 1000 };
const dark = (from: number, noticed: number | null, claimed: number | null, until: number | null): Dark => ({ from, noticed, claimed, until, rebalance: null });
const kinds = (one: Dark, on: Scale = scale) => pieces(on, one).map(({ kind }) => kind);

const group = (lanes: number): Group => ({
  group_id: "g",
  topic: "t",
  protocol: "consumer",
  session_timeout_ms: 6000,
  partitions: lanes,
  lanes: Array.from({ length: lanes }, (_, partition) => ({ partition, spans: [], dark: [], two_owners: [], quiet: [] })),
});

const brief = (id: string, noticed_at: number, dark_max_ms: number | null = 1000): Brief => ({
  id,
  group_id: "g",
  noticed_at,
  began_at: noticed_at,
  ended_at: noticed_at,
  cause: "crash",
  confidence: "certain",
  subjects: ["a"],
  dark_max_ms,
  moved: 1,
  open: false,
  revision: 1,
});

test("time becomes pixels and back", () => {
  assert.equal(x(scale, 150_000), 500);
  assert.equal(time(scale, 500), 150_000);
  assert.deepEqual(inside(scale, { from: 50_000, until: 150_000 }), [0, 500]);
  assert.deepEqual(inside(scale, { from: 150_000, until: null }), [500, 1000]);
  assert.equal(inside(scale, { from: 200_000, until: null }), null);
  assert.equal(inside(scale, { from: 0, until: 100_000 }), null);
});

test("ticks stand at round instants, far enough from each other, in every window", () => {
  for (const ms of [MINUTE, 15 * MINUTE, DAY, 7 * DAY, 31 * DAY]) {
    const wide = { from: 1_700_000_000_123, to: 1_700_000_000_123 + ms, width: 1000 };
    const { step, at } = ticks(wide, 88);
    assert.ok(at.length >= 2 && at.length <= 12, `${ms}: ${at.length}`);
    assert.ok(at.every((tick) => tick % step === 0 && tick >= wide.from && tick <= wide.to));
    assert.ok((step / ms) * wide.width >= 88);
  }
  assert.equal(tickText(Date.UTC(2026, 10, 21, 14, 3, 7), 1000), "14:03:07");
  assert.equal(tickText(Date.UTC(2026, 10, 21, 14, 3), 60_000), "14:03");
  assert.equal(tickText(Date.UTC(2026, 10, 21), DAY), "11-21");
});

test("dark time has its three phases where there is room, one hatch where there is little, and a mark always", () => {
  assert.deepEqual(kinds(dark(110_000, 150_000, 160_000, 165_000)), ["detect", "reassign", "resume"]);
  assert.deepEqual(kinds(dark(110_000, 110_500, 110_700, 111_000)), ["dark"]);
  assert.deepEqual(kinds(dark(110_000, 110_010, 110_020, 110_030)), ["mark"]);
  for (const ms of [0, 1, 10, 100, 199]) {
    const [mark] = pieces(scale, dark(150_000, null, null, 150_000 + ms));
    assert.ok(mark && mark.width >= 2, `${ms} ms vanished`);
  }
});

test("what is not noticed yet is detect to the end, and what is not read yet goes on", () => {
  assert.deepEqual(pieces(scale, dark(150_000, null, null, null)), [{ kind: "detect", left: 500, width: 500 }]);
  const noticed = pieces(scale, dark(150_000, 180_000, null, null));
  assert.deepEqual(noticed.map(({ kind, width }) => [kind, width]), [["detect", 300], ["reassign", 200]]);
  assert.deepEqual(pieces(scale, dark(10_000, 20_000, 30_000, 40_000)), []);
});

test("phases that began before the window are cut at its edge, and none is negative", () => {
  const cut = pieces(scale, dark(90_000, 95_000, 120_000, 130_000));
  assert.ok(cut.every(({ left, width }) => left >= -14 && width > 0));
  assert.equal(cut.at(-1)?.kind, "resume");
  // A claim before the notice is possible where clocks differ.
  assert.ok(pieces(scale, dark(110_000, 150_000, 140_000, 160_000)).every(({ width }) => width > 0));
});

test("lanes stand closer the more there are, and taller on a wall", () => {
  assert.deepEqual([1, 6, 20, 40, 64].map((n) => pitch(n, false, SCREEN)), [34, 19, 14, 10, 8]);
  assert.equal(pitch(64, true, SCREEN), 7);
  assert.equal(pitch(6, false, { wall: true, phone: false }), 26);
});

test("lanes by owner stand in blocks, and a point finds its lane", () => {
  const owners = Array.from({ length: 12 }, (_, i) => i % 3);
  const placed = layout(group(12), owners, true, SCREEN);
  assert.deepEqual(placed.order.slice(0, 5), [0, 3, 6, 9, 1]);
  assert.deepEqual(placed.blocks.map(({ slot, lanes }) => [slot, lanes]), [[0, 4], [1, 4], [2, 4]]);
  for (let lane = 0; lane < 12; lane++) assert.equal(laneAtHeight(placed, (placed.y[lane] ?? 0) + 3), lane);
  assert.equal(laneAtHeight(placed, 0), null);
  assert.equal(layout(group(12), owners, false, SCREEN).blocks.length, 0);
  assert.equal(layout(group(6), [0, 1, null, 0, 1, null], true, SCREEN).order.at(-1), 5);
});

const measure = () => 60;
const at = (px: number) => 100_000 + px * 100;

test("flags closer than 24 px are one, and the worst names it", () => {
  const found = flags(scale, [brief("a", at(100), 500), brief("b", at(115), 6000), brief("c", at(123), null)], measure);
  assert.deepEqual(found.map(({ rebalance, more }) => [rebalance.id, more]), [["b", 2]]);
  const apart = flags(scale, [brief("a", at(100)), brief("b", at(125))], measure);
  assert.deepEqual(apart.map(({ more }) => more), [0, 0]);
});

test("no rebalance in the window is left out of its flags, and no flag stands on another", () => {
  const many = Array.from({ length: 200 }, (_, i) => brief(`r${i}`, at((i * 37) % 1000), (i * 71) % 9000));
  const found = flags(scale, many, measure);
  assert.equal(found.reduce((sum, { more }) => sum + 1 + more, 0), many.length);
  const boxes = found.map(({ left, more, words }) => [left, left + 18 + (more > 0 ? 12 + 7 * String(more).length : 0) + (words === "none" ? 0 : 74)] as const);
  boxes.forEach(([left], i) => i > 0 && assert.ok(left >= (boxes[i - 1]?.[1] ?? 0) - 0.001, `flag ${i}`));
  assert.deepEqual(flags(scale, [brief("before", at(-1)), brief("after", at(1001))], measure), []);
});

test("words stand right of a flag, or left of it, or not at all", () => {
  const [first, last] = flags(scale, [brief("a", at(50)), brief("b", at(995))], measure);
  assert.deepEqual([first?.words, last?.words], ["right", "left"]);
  const tight = flags(scale, [0, 30, 60, 90].map((px) => brief(`${px}`, at(400 + px))), measure);
  assert.ok(tight.slice(1, -1).every(({ words }) => words === "none"));
});

test("the strip keeps the longest dark time of each bucket", () => {
  const now = Date.UTC(2026, 10, 21, 14);
  const plant = ownership(world("small", now), now - DAY, now, 480, now);
  const longest = worst(plant, { from: now - DAY, to: now, width: 900 }, 300);
  assert.equal(Math.max(...longest), Math.max(...plant.rebalances.map(({ dark_max_ms }) => dark_max_ms ?? 0)));
  assert.ok(longest.filter((ms) => ms > 0).length > 5);
});

test("a curve breaks where something is missing, not where minutes go on as seconds", () => {
  const minutes = [0, 60, 120, 180].map((s) => s * 1000);
  const seconds = [215, 216, 217, 240, 241].map((s) => s * 1000);
  assert.deepEqual(breaks([...minutes, ...seconds]), [true, false, false, false, false, false, false, true, false]);
  assert.deepEqual(breaks([0, 60_000, 600_000, 660_000]), [true, false, true, false]);
  assert.deepEqual(breaks([]), []);
});
