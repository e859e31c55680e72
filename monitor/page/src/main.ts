// Wires the stream to the model and the model to the panels: one drawing per frame, however much was told.

import { type Action, type Model, type Point, WINDOW_S, initial, reduce } from "./model";
import { alarms } from "./panels/alarms";
import { alerts } from "./panels/alerts";
import { bar } from "./panels/bar";
import { charts } from "./panels/charts";
import { consumers } from "./panels/consumers";
import { events } from "./panels/events";
import { partitions } from "./panels/partitions";
import { producers } from "./panels/producers";
import { spoken } from "./panels/spoken";
import { verdict } from "./panels/verdict";
import { connect } from "./stream";

const panels = [bar(), verdict(), partitions(), charts(), consumers(), producers(), alerts(), alarms(), events(), spoken()];
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

let model: Model = initial;
let frame = 0;

function dispatch(action: Action): void {
  model = reduce(model, action);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    for (const draw of panels) draw(model);
  });
}

/** The charts' past: at first, and to fill what was missed while the stream was away. */
async function history(): Promise<void> {
  const answer = await fetch(`/api/real-time-metrics?window_seconds=${WINDOW_S}`);
  if (!answer.ok) return;
  const told = (await answer.json()) as { series: { points: Point[] } };
  dispatch({ type: "history", points: told.series.points });
}

connect(dispatch, () => void history().catch(() => {}));
const tick = () => {
  dispatch({ type: "tick", now: Date.now() });
  setTimeout(tick, reducedMotion.matches ? 1000 : 250);
};
tick();
