// Wires the stream and the record to the model and the model to the panels: one drawing per frame, however much was
// told. The timeline is drawn in each; what is in words, five times a second at most.

import { asks } from "./asks";
import { keys } from "./keys";
import { type Action, type Model, type Point, WINDOW_S, initial, reduce } from "./model";
import { alarms } from "./panels/alarms";
import { alerts } from "./panels/alerts";
import { bar } from "./panels/bar";
import { charts } from "./panels/charts";
import { consumers } from "./panels/consumers";
import { events } from "./panels/events";
import { findings } from "./panels/findings";
import { happened } from "./panels/happened";
import { producers } from "./panels/producers";
import { spoken } from "./panels/spoken";
import { frameOf, story } from "./panels/story";
import { manyLanes, screen, timeline } from "./panels/timeline";
import { verdict } from "./panels/verdict";
import type { Rebalance } from "./record";
import { go, onBack, opened } from "./route";
import { connect } from "./stream";
import { type Move, MINUTE, live, reveal } from "./view";

const WORDS_MS = 200;
/** While somebody drags: frames are what counts then. */
const WORDS_MOVING_MS = 500;
const MOVING_MS = 150;

let model: Model = { ...initial, view: { ...initial.view, ms: screen().phone ? 5 * MINUTE : initial.view.ms } };
let frame = 0;
let worded = 0;
let stepped = Number.NEGATIVE_INFINITY;
let moved = Number.NEGATIVE_INFINITY;
let later = 0;
let ordered = false;
/** A story whose rebalance is not in view yet, for it is not known yet. */
let revealing: string | null = null;

function dispatch(action: Action): void {
  model = reduce(model, action);
  if (action.type === "told" && action.told.rebalance.id === revealing) show(action.told.rebalance);
  frame ||= requestAnimationFrame(draw);
}

function draw(): void {
  frame = 0;
  const now = performance.now();
  order();
  ask(model);
  clearTimeout(later);
  const wait = worded + (now - moved < MOVING_MS ? WORDS_MOVING_MS : WORDS_MS) - now;
  quick(model, wait <= 0);
  if (wait <= 0) {
    worded = now;
    for (const panel of panels) panel(model);
  } else later = window.setTimeout(() => (frame ||= requestAnimationFrame(draw)), Math.min(wait, MOVING_MS));
}

/** Many lanes are ordered by owner, once they are known. */
function order(): void {
  const groups = model.recording.near?.groups;
  if (ordered || !groups || groups.length === 0) return;
  ordered = true;
  if (!screen().phone && manyLanes(Math.max(...groups.map(({ lanes }) => lanes.length)))) move((view) => ({ ...view, order: "owner" }));
}

function move(change: Move): void {
  const now = performance.now();
  // One step is followed at once; many are a drag.
  if (now - stepped < MOVING_MS) moved = now;
  stepped = now;
  dispatch({ type: "view", now: Date.now(), move: change });
}

function open(id: string): void {
  go(id);
  tell(id);
}

/** Opens a story, and brings it into view as soon as it is known when it was. */
function tell(id: string | null): void {
  dispatch({ type: "story", id });
  revealing = id;
  const known = model.recording.rebalances.find((rebalance) => rebalance.id === id);
  if (known) show(known);
}

function show({ noticed_at, ended_at }: Rebalance): void {
  revealing = null;
  move(reveal(Date.parse(noticed_at), Date.parse(ended_at ?? noticed_at)));
}

function close(): void {
  if (model.recording.story === null) return;
  go(null);
  dispatch({ type: "story", id: null });
  if (model.view.back) move((view) => ({ ...view, ...view.back, back: null }));
}

const quick = timeline(move, open);
const ask = asks(dispatch);
const { draw: say, speak } = spoken();
const panels = [
  bar(() => move(live), () => showKeys()),
  verdict(open),
  story({ close, move, again: () => dispatch({ type: "again" }) }),
  happened(open),
  findings(open),
  charts(),
  consumers(),
  producers(),
  alerts(),
  alarms(),
  events(),
  say,
];
const showKeys = keys({
  model: () => model,
  move,
  open,
  close,
  zoom: () => {
    const { story: shown, rebalances } = model.recording;
    const told = shown?.told?.rebalance ?? rebalances.find(({ id }) => id === shown?.id);
    if (told) move(frameOf(told));
  },
  speak,
});

/** The charts' past: at first, and to fill what was missed while the stream was away. */
async function history(): Promise<void> {
  const answer = await fetch(`/api/real-time-metrics?window_seconds=${WINDOW_S}`);
  if (!answer.ok) return;
  const told = (await answer.json()) as { series: { points: Point[] } };
  dispatch({ type: "history", points: told.series.points });
}

const first = opened();
if (first !== null) tell(first);
onBack(tell);
connect(dispatch, () => void history().catch(() => {}));
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
const tick = () => {
  dispatch({ type: "tick", now: Date.now() });
  setTimeout(tick, reducedMotion.matches ? 1000 : 250);
};
tick();
