import assert from "node:assert/strict";
import { test } from "node:test";
import { wanted } from "../src/asks";
import { clause } from "../src/causes";
import { marks } from "../src/colour";
import { listed, moment, span } from "../src/format";
import { instantOf, lane } from "../src/instant";
import { type Model, initial, isPast, reduce, spokenOf } from "../src/model";
import { byTime, factsOf, how, sentence, shortened } from "../src/story/words";
import { sentence as verdict } from "../src/panels/verdict";
import type { Ownership, Rebalance } from "../src/record";
import { happened, laneAt, merged, nothing } from "../src/recording";
import { standings } from "../src/standing";
import { describe } from "../src/timeline/words";
import { DAY, HOUR, MINUTE, frame, isLive, live, look, pan, pause, zoom } from "../src/view";
import { state } from "./fixture/state";
import { ownership, world } from "./fixture/world";

const NOW = Date.UTC(2026, 10, 21, 14, 9, 30);
const plant = world("small", NOW);
const near = (from = NOW - 30 * MINUTE, to = NOW, buckets = 1000): Ownership => ownership(plant, from, to, buckets, NOW);

function model(changes: Partial<Model> = {}): Model {
  let made = reduce({ ...initial, ...changes }, { type: "state", now: NOW, state: state(plant, NOW) });
  made = reduce(made, { type: "near", ownership: near() });
  return reduce(made, { type: "rebalances", rebalances: plant.teams.flatMap((team) => team.rebalances), more: null });
}

const crash = plant.teams[0]?.rebalances.findLast(({ cause }) => cause === "crash") as Rebalance;

test("the window ends now until one looks elsewhere, and L goes back", () => {
  const { view } = initial;
  assert.ok(isLive(view));
  const there = look(NOW - MINUTE)(view, NOW);
  assert.deepEqual([there.cursor, there.end], [NOW - MINUTE, NOW]);
  const far = look(NOW - DAY)(view, NOW);
  assert.ok(far.end !== null && far.end < NOW && far.end - far.ms < NOW - DAY);
  assert.equal(look(NOW + DAY)(view, NOW).cursor, NOW);
  assert.ok(isLive(live(far, NOW)));
  assert.equal(pan(NOW + DAY)(view, NOW).end, NOW);
});

test("a pause stands still; again, and it is live", () => {
  const paused = pause(initial.view, NOW);
  assert.equal(paused.paused, NOW);
  assert.ok(isLive(pause(paused, NOW + 5000)));
});

test("a zoom keeps what it is around in its place, and has bounds", () => {
  const there = look(NOW - 5 * MINUTE)(initial.view, NOW);
  const closer = zoom(MINUTE, there.cursor)(there, NOW);
  const share = (view: typeof closer) => ((view.end ?? NOW) - (there.cursor ?? 0)) / view.ms;
  assert.ok(Math.abs(share(closer) - share(there)) < 1e-9);
  assert.ok(isLive(zoom(HOUR)(initial.view, NOW)));
  assert.equal(zoom(1)(initial.view, NOW).ms, 10_000);
  assert.equal(zoom(400 * DAY)(initial.view, NOW).ms, 31 * DAY);
});

test("to zoom to a story and once more is to be back", () => {
  const there = look(NOW - 5 * MINUTE)(initial.view, NOW);
  const framed = frame(NOW - 20_000, NOW - 14_000, NOW - 13_000)(there, NOW);
  assert.ok(framed.ms < there.ms && framed.cursor !== null && framed.cursor < NOW - 14_000);
  const back = frame(0, 0, 0)(framed, NOW);
  assert.deepEqual([back.ms, back.end, back.cursor, back.back], [there.ms, there.end, there.cursor, null]);
});

test("a later revision replaces an earlier one, and not the other way round", () => {
  const [old, young] = [{ ...crash, revision: 1 }, { ...crash, revision: 2, cause: "broker_lost" as const }];
  assert.equal(merged([young], [old])[0]?.cause, "broker_lost");
  assert.equal(merged([old], [young])[0]?.cause, "broker_lost");
  assert.equal(merged([old], [{ ...young, part_of: "another" }]).length, 0);
});

test("the list is whole back to its oldest, and a reset may have left a hole", () => {
  const page = reduce(initial, { type: "rebalances", rebalances: [crash], more: "next" });
  assert.equal(page.recording.reaches, Date.parse(crash.noticed_at));
  const whole = reduce(page, { type: "rebalances", rebalances: [], more: null });
  assert.equal(whole.recording.reaches, Number.NEGATIVE_INFINITY);
  assert.equal(whole.recording.rebalances.length, 1);
  assert.equal(reduce(whole, { type: "reset", now: 1 }).recording.reaches, Number.POSITIVE_INFINITY);
});

test("an ownership that is told replaces the one with its start", () => {
  const team = plant.teams[0];
  const told = near();
  const before = told.groups[0]?.lanes[0]?.spans.length ?? 0;
  const owned = (until: string | null) => ({ group_id: team?.group_id, topic: team?.topic, partition: 0, consumer_id: team?.ids[1], from: new Date(NOW - 1000).toISOString(), until, fact: 1 });
  const spans = (known: ReturnType<typeof happened>) => known.near?.groups[0]?.lanes[0]?.spans ?? [];
  let known = happened({ ...nothing, near: told }, "ownership", { changed: [owned(null)] });
  assert.equal(spans(known).length, before + 1);
  assert.equal(known.stale, 1);
  known = happened(known, "ownership", { changed: [owned(new Date(NOW).toISOString())] });
  assert.equal(spans(known).length, before + 1);
  assert.equal(spans(known).at(-1)?.until, NOW);
  assert.deepEqual(happened(known, "something else", {}), known);
});

test("a rebalance that is told gets its flag at once", () => {
  const known = happened({ ...nothing, near: near() }, "rebalance", { ...crash, id: "new", revision: 1 });
  assert.ok(known.near?.rebalances.some(({ id }) => id === "new"));
  assert.equal(known.rebalances[0]?.id, "new");
});

test("the page asks for what is in view and for nothing that it has", () => {
  const made = model();
  assert.equal(wanted(made, null), null);
  const week = { ...made, view: { ...made.view, ms: 7 * DAY } };
  const range = wanted(week, null);
  assert.ok(range && range.from <= NOW - 7 * DAY && range.to <= NOW);
  assert.equal(wanted(week, range), null, "it is on its way");
  const closer = reduce(reduce(made, { type: "near", ownership: near(NOW - 7 * DAY) }), { type: "view", now: NOW, move: zoom(MINUTE) });
  assert.ok(wanted(closer, null), "a minute of a week's answer is too coarse");
  assert.ok((wanted({ ...made, view: { ...made.view, pixels: 9000, ms: DAY } }, null)?.buckets ?? 0) <= 4000);
});

test("everything speaks of one instant: in the past nothing of now is left", () => {
  const noticed = Date.parse(crash.noticed_at);
  const made = reduce(model(), { type: "view", now: NOW, move: look(noticed - 1000) });
  assert.ok(isPast(made));
  assert.equal(spokenOf(made), noticed - 1000);
  const instant = instantOf(made);
  const dark = [...instant.held.values()].filter((held) => held.dark);
  assert.deepEqual(dark.map(({ partition }) => partition), crash.handovers.map(({ partition }) => partition));
  assert.deepEqual([instant.lag, instant.rate, standings(made).length], [null, null, 0]);
  assert.match(verdict(made), /2 of 26 partitions not being read/);
  assert.match(verdict(model()), /^Healthy: 7 consumers read all 26 partitions/);
});

test("an instant that was not recorded is not guessed", () => {
  const blind = plant.blind[0];
  const made = reduce(model(), { type: "view", now: NOW, move: look((blind?.from ?? 0) + 1000) });
  assert.equal(verdict(made), "Not recorded.");
  assert.equal(instantOf(made).blind, "recorder away");
});

test("what the stream says is dark is drawn before the record tells of it", () => {
  const told = state(plant, NOW);
  const [first] = told.partitions;
  if (first) Object.assign(first, { read: false, dark_since: new Date(NOW - 2000).toISOString() });
  const made = reduce(model(), { type: "state", now: NOW, state: told });
  const group = instantOf(made).groups[0];
  assert.equal(group?.lanes[0]?.dark.at(-1)?.until, null);
  assert.ok(instantOf(made).held.get(lane(group as { group_id: string; topic: string }, 0))?.dark);
  assert.equal(made.recording.stale, 1, "its phases are asked for");
});

test("a lane knows both of its owners", () => {
  const both = laneAt({ partition: 0, spans: [{ from: 0, until: null, slot: 1, changes: 0 }], dark: [], two_owners: [{ from: 5, until: 9, slot: 2 }], quiet: [] }, 6);
  assert.deepEqual(both.slots, [1, 2]);
});

test("a slot is a colour for good; who has none yet takes a free one", () => {
  const all = [{ consumer_id: "a" }, { consumer_id: "b" }, { consumer_id: "c" }];
  const known = marks(all, new Map([["b", 0]]));
  assert.deepEqual(["a", "b", "c"].map((id) => known.get(id)?.slot), [1, 0, 2]);
  const pairs = new Set(Array.from({ length: 16 }, (_, i) => marks([{ consumer_id: "x" }], new Map([["x", i]])).get("x")).map((one) => `${one?.hue} ${one?.pattern}`));
  assert.equal(pairs.size, 16);
});

test("the first sentence of a story stands out", () => {
  assert.deepEqual(sentence("c-1 died. Dark for 6.4 s."), [["c-1 died.", true], [" Dark for 6.4 s.", false]]);
  assert.deepEqual(sentence("no full stop"), [["no full stop", true]]);
});

test("facts of a story say what was not measured, and nothing that was not", () => {
  const facts = new Map(factsOf(crash, 6));
  assert.equal(facts.get("Cause"), "crash, certain");
  assert.equal(facts.get("Moved"), "2 of 6, the fewest possible is 2");
  assert.equal(facts.get("Two owners"), "never");
  assert.equal(facts.has("Not recorded"), false);
  const worse = new Map(factsOf({ ...crash, confidence: "likely", refusals: 39, two_owners_ms: 5100, blind_ms: 900 }, null));
  assert.match(worse.get("Cause") ?? "", /likely/);
  assert.match(worse.get("Read twice") ?? "", /39 writes/);
  assert.equal(worse.get("Not recorded"), "0.90 s of it");
});

test("a handover without phases shows none, and one that is half known says so", () => {
  const [one] = crash.handovers;
  assert.ok(one);
  assert.match(how(one), /^sensor-consumer-1 to sensor-consumer-\d · [\d.]+ s \+ /);
  assert.doesNotMatch(how({ ...one, detect_ms: null, reassign_ms: null, resume_ms: null }), /\+/);
  assert.match(how({ ...one, resume_ms: null }), /\+ \?/);
  const short = shortened(["worker-1", "waiter-1"], () => "w1");
  assert.equal(short("worker-1"), "worker-1", "short names that are the same tell nobody apart");
});

test("what was absent comes last", () => {
  const order = byTime(crash.evidence);
  assert.equal(order.at(-1)?.at, null);
  const times = order.filter(({ at }) => at !== null).map(({ at }) => Date.parse(at ?? ""));
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
});

test("causes are told as they are known", () => {
  assert.equal(clause({ cause: "crash", subjects: ["a"] }), "a died without leaving");
  assert.equal(clause({ cause: "unknown", subjects: [] }), "a member left or crashed");
  assert.equal(clause({ cause: "rolling_restart", subjects: ["a", "b"] }), "rolling restart of a and b");
});

test("groups stand in the order of the workloads, with their members", () => {
  const told = state(plant, NOW);
  told.workloads.reverse();
  const made = reduce(model(), { type: "state", now: NOW, state: told });
  assert.deepEqual(instantOf(made).groups.map(({ group_id, topic }) => `${group_id} ${topic}`), ["feed-workers tweets", "sensor-consumers sensor-readings"]);
  assert.deepEqual([...new Set(standings(made).map(({ group_id }) => group_id))], ["feed-workers", "sensor-consumers"]);
  const back = instantOf(model()).groups.map(({ group_id }) => group_id);
  assert.deepEqual(back, ["sensor-consumers", "feed-workers"]);
});

test("a partition is one of its topic and its group, whatever its number", () => {
  const told = state(plant, NOW);
  const tweets = told.partitions.find(({ topic, partition }) => topic === "tweets" && partition === 0);
  assert.ok(tweets);
  Object.assign(tweets, { read: false, owners: [], lag_records: 77, dark_since: new Date(NOW - 2000).toISOString() });
  const made = reduce(model(), { type: "state", now: NOW, state: told });
  const { held, groups } = instantOf(made);
  const [sensors, feed] = groups;
  assert.ok(sensors && feed);
  assert.deepEqual([held.get(lane(feed, 0))?.dark, held.get(lane(feed, 0))?.lag], [true, 77]);
  assert.deepEqual([held.get(lane(sensors, 0))?.dark, held.get(lane(sensors, 0))?.owners], [false, ["sensor-consumer-1"]]);
  assert.equal(feed.lanes[0]?.dark.at(-1)?.until, null);
  assert.notEqual(sensors.lanes[0]?.dark.at(-1)?.until, null);

  // A group that was renamed has no part in what its successor's partitions do.
  tweets.group_id = "feeders";
  const renamed = instantOf(reduce(model(), { type: "state", now: NOW, state: { ...told } }));
  assert.equal(renamed.held.get(lane(feed, 0))?.dark, false);
});

test("before the record answers the boards are of the workloads that the stream tells of", () => {
  const made = reduce(initial, { type: "state", now: NOW, state: state(plant, NOW) });
  const groups = instantOf(made).groups.map(({ group_id, topic, lanes }) => `${group_id} ${topic} ${lanes.length}`);
  assert.deepEqual(groups, ["sensor-consumers sensor-readings 6", "feed-workers tweets 20"]);
});

test("the timeline is told in words", () => {
  const said = describe(model(), instantOf(model()));
  assert.match(said, /^Ownership timeline, 15 min up to 14:09:30 UTC, 2 groups\. sensor-consumers: sensor-consumer-1 reads /);
  assert.match(said, /2 rebalances in view, longest dark time 6\.\d s/);
});

test("moments far away have their day", () => {
  assert.equal(moment(NOW, NOW), "14:09:30");
  assert.equal(moment(NOW - 2 * DAY, NOW), "11-19 14:09");
  assert.equal(span(208_000), "3 min 28 s");
  assert.equal(span(90_000_000), "1 d 1 h");
  assert.equal(listed(["a", "b", "c"]), "a, b and c");
});
