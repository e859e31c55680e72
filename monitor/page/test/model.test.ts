import assert from "node:assert/strict";
import { test } from "node:test";
import { marks, shortName } from "../src/colour";
import { type Event, type Model, type Point, type State, WINDOW_S, initial, reduce, silence } from "../src/model";
import { visible } from "../src/format";
import { grouped } from "../src/panels/events";

const state = (recent: Point[] = []): State => ({ recent, consumers: [], producers: [], partitions: [] }) as unknown as State;

const point = (second: number, stored_rows: number, lag_records: number | null = null): Point => ({
  at: new Date(second * 1000).toISOString(),
  stored_rows,
  dead_letters: 0,
  latency_mean_ms: null,
  latency_max_ms: null,
  lag_records,
});

const event = (number: number, body: object = {}): Event => ({
  number,
  kind: "rebalancing",
  occurred_at: new Date(number * 10_000).toISOString(),
  recorded_at: new Date(number * 10_000).toISOString(),
  body: { consumer_id: "sensor-consumer-1", event_type: "assigned", partition_number: null, detail: null, ...body },
});

const heard = (model: Model, event: Event) => reduce(model, { type: "event", now: 1, event });

test("a stream without a word for three seconds is stale, and live again with the next", () => {
  let model = reduce(initial, { type: "state", now: 1000, state: state() });
  model = reduce(model, { type: "tick", now: 3900 });
  assert.equal(model.link.is, "live");
  model = reduce(model, { type: "tick", now: 4100 });
  assert.equal(model.link.is, "stale");
  assert.equal(silence(model), 3100);
  model = reduce(model, { type: "state", now: 5000, state: state() });
  assert.equal(model.link.is, "live");
});

test("a lost stream keeps what was known and since when it is lost", () => {
  let model = reduce(initial, { type: "state", now: 1000, state: state([point(1, 5)]) });
  model = reduce(model, { type: "lost", now: 2000, nextTryAt: 3000 });
  model = reduce(model, { type: "lost", now: 4000, nextTryAt: 6000 });
  assert.deepEqual(model.link, { is: "down", since: 2000, heardAt: 1000, nextTryAt: 6000 });
  assert.equal(model.points.length, 1);
});

test("an event that is told twice is there once, and the newest is first", () => {
  const model = [event(2), event(1), event(3), event(2)].reduce(heard, initial);
  assert.deepEqual(model.events.map(({ number }) => number), [3, 2, 1]);
});

test("a reset drops what may not join what follows, and says so", () => {
  let model = heard(initial, event(1));
  model = reduce(model, { type: "reset", now: 2 });
  assert.deepEqual([model.events.length, model.skipped], [0, true]);
});

test("later words about a second replace earlier ones; its lag is not forgotten", () => {
  let model = reduce(initial, { type: "state", now: 1, state: state([point(10, 3, 7), point(11, 1)]) });
  model = reduce(model, { type: "history", points: [point(10, 5), point(9, 2)] });
  assert.deepEqual(
    model.points.map(({ stored_rows, lag_records }) => [stored_rows, lag_records]),
    [[2, null], [5, 7], [1, null]],
  );
  model = reduce(model, { type: "state", now: 2, state: state([point(10 + WINDOW_S, 1)]) });
  assert.equal(model.points.length, 2);
});

test("what one consumer saw in a moment is one line", () => {
  const at = (number: number, partition_number: number, event_type: string) => ({
    ...event(number, { partition_number, event_type }),
    occurred_at: new Date(5000 + number).toISOString(),
  });
  const lines = grouped([at(4, 3, "claimed"), at(3, 5, "assigned"), at(2, 0, "assigned"), at(1, 3, "assigned")]);
  assert.deepEqual(lines.map(({ what }) => what), ["claimed 3", "assigned 0 3 5"]);
});

test("names become marks that stay", () => {
  assert.equal(shortName("sensor-consumer-1"), "c1");
  assert.equal(shortName("feed-worker-12"), "w12");
  assert.equal(shortName("<img onerror=1>"), "o1");
  assert.equal(shortName("\u202e"), "?");
  const two = marks([{ consumer_id: "b-2" }, { consumer_id: "a-1" }]);
  assert.deepEqual([two.get("a-1")?.hue, two.get("b-2")?.hue], [0, 1]);
});

test("what hides in a name is written out", () => {
  assert.equal(visible("sensor-consumer-1 °C \u{1f600} ü"), "sensor-consumer-1 °C \u{1f600} ü");
  assert.equal(visible("\u202e1-remus\u200bnoc\u0000"), "\\u{202e}1-remus\\u{200b}noc\\u{0}");
});
