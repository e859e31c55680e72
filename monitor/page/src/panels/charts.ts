// How long a record takes from its append to its commit, over the last minutes and over all workloads; of each, now.

import uPlot from "uplot";
import { attribute, byId, h, text } from "../dom";
import { clock, count, duration } from "../format";
import { type Model, type Point, type State, WINDOW_S, isPast, spokenOf } from "../model";

interface Lane {
  title: string;
  height: number;
  series: { label: string; of: (point: Point) => number | null | undefined; dashed?: boolean }[];
  show: (value: number | null | undefined) => string;
  /** What a second is in which nothing was told. */
  absent: number | null;
  /** The figure beside it: over everything, and of each workload where there are several. */
  now: (of: State["metrics"]) => number | null | undefined;
}

/** Rate and lag are on the timeline, on its axis. */
const LANES: Lane[] = [
  {
    title: "Append to commit",
    height: 96,
    series: [
      { label: "mean", of: (point) => point.latency_mean_ms },
      { label: "worst", of: (point) => point.latency_max_ms, dashed: true },
    ],
    show: duration,
    absent: null,
    now: (metrics) => metrics.latency_mean_ms,
  },
];

export function charts(): (model: Model) => void {
  const parent = byId("charts");
  const spoken = h("p", { class: "sr" });
  const note = h("small");
  parent.append(h("h2", { id: "charts-title" }, "Latency ", note), spoken);
  const plots = LANES.map((lane) => {
    const latest = h("b");
    const each = h("ul", { class: "each" });
    const legend = lane.series.length > 1 ? lane.series.map(({ label }) => label).join(", dashed: ") : "";
    const canvas = h("div", { class: "plot", "aria-hidden": "true" });
    parent.append(h("figure", {}, h("figcaption", {}, h("span", {}, lane.title), h("small", {}, legend), latest, each), canvas));
    return { lane, canvas, latest, each, plot: null as uPlot | null };
  });
  let drawn: readonly Point[] | null = null;
  let drawnLength = -1;
  let theme = "";

  return (model) => {
    const look = `${document.documentElement.dataset.theme ?? ""}${matchMedia("(prefers-color-scheme: dark)").matches}`;
    const past = isPast(model);
    for (const { lane, latest, each } of plots) {
      text(latest, model.state && !past ? lane.show(lane.now(model.state.metrics)) : "");
      const workloads = past || !model.state || model.state.workloads.length < 2 ? [] : model.state.workloads;
      const told = workloads.map(({ topic, current }) => `${topic} ${lane.show(lane.now(current))}`);
      if (told.join("\n") !== [...each.children].map(({ textContent }) => textContent).join("\n")) each.replaceChildren(...told.map((line) => h("li", {}, line)));
    }
    const shown = past ? model.points.filter((point) => Date.parse(point.at) <= spokenOf(model)).length : model.points.length;
    text(note, !past ? "last 15 minutes" : shown > 1 ? `up to ${clock(spokenOf(model))}` : "not kept for that instant");
    if (model.points === drawn && look === theme && shown === drawnLength) return;
    drawn = model.points;
    drawnLength = shown;
    const points = model.points.slice(0, shown);
    // The second that is under way would make every curve end in a dip.
    const newest = points.at(-2);
    const times = newest ? seconds(Date.parse(newest.at) / 1000) : [];
    const bySecond = new Map(points.map((point) => [Date.parse(point.at) / 1000, point]));
    const first = points[0] ? Date.parse(points[0].at) / 1000 : 0;
    for (const entry of plots) {
      const { lane, canvas } = entry;
      const rows = lane.series.map(({ of }) =>
        times.map((second) => {
          const point = bySecond.get(second);
          // Before the first point nothing was recorded; within, a silent second is one.
          return point ? (of(point) ?? lane.absent) : second < first ? null : lane.absent;
        }),
      );
      const data = [times, ...rows] as uPlot.AlignedData;
      if (entry.plot === null || look !== theme) {
        entry.plot?.destroy();
        entry.plot = new uPlot(options(lane, canvas), data, canvas);
        new ResizeObserver(() => entry.plot?.setSize({ width: canvas.clientWidth, height: lane.height })).observe(canvas);
      } else {
        entry.plot.setData(data);
      }
    }
    theme = look;
    text(spoken, summary(points));
    attribute(parent, "class", newest ? null : "empty");
  };
}

function options(lane: Lane, canvas: HTMLElement): uPlot.Options {
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: colour("--ink3"), font, grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(200, canvas.clientWidth),
    height: lane.height,
    legend: { show: false },
    cursor: { sync: { key: "charts" }, points: { size: 5 }, drag: { x: false, y: false } },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
    axes: [
      { ...axis, size: 20, values: (_plot, ticks) => ticks.map((tick) => new Date(tick * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 60, splits: (_plot, _axis, _min, max) => [0, max / 2], values: (_plot, ticks) => ticks.map((tick) => lane.show(tick)) },
    ],
    series: [
      {},
      ...lane.series.map(({ dashed }) => ({
        stroke: colour(dashed ? "--ink3" : "--ink"),
        width: 1,
        points: { show: false },
        ...(dashed ? { dash: [3, 3] } : {}),
      })),
    ],
  };
}

function seconds(newest: number): number[] {
  return Array.from({ length: WINDOW_S }, (_, i) => newest - WINDOW_S + 1 + i);
}

/** For who cannot see the curves. */
function summary(points: readonly Point[]): string {
  if (points.length === 0) return "Nothing was recorded yet.";
  const rows = points.reduce((sum, point) => sum + point.stored_rows, 0);
  const lag = Math.max(0, ...points.map((point) => point.lag_records ?? 0));
  const worst = Math.max(0, ...points.map((point) => point.latency_max_ms ?? 0));
  return `${count(rows)} rows stored; worst latency ${duration(worst)}; most records that waited ${count(lag)}.`;
}
