// What the page asks the recorder, and when: what is in view and some time around it, when that changes or new facts
// came; the instant that is looked at; the story that is open; the last day and the findings now and then.

import { Refused, ask, instant as written } from "./ask";
import { type Action, type Model, isPast, known, present, spokenOf } from "./model";
import type { Assignments, Finding, Ownership, Rebalances, Told } from "./record";
import { DAY, edge } from "./view";

/** Around the window, on each side, so that a drag does not run into nothing. */
const MARGIN = 0.5;
/** Two pixels for a bucket: less is not seen. */
const BUCKET_PX = 2;
const LIVE_AGAIN_MS = 10_000;
const FACTS_AGAIN_MS = 400;
/** While a drag goes on, not for each of its frames. */
const SETTLE_MS = 120;
const AT_SETTLE_MS = 80;
const DAY_AGAIN_MS = 60_000;
const RETRY_MS = 5000;
const REBALANCES = 200;

export interface Range {
  readonly from: number;
  readonly to: number;
  readonly buckets: number;
}

/** What to ask for so that the window is there; null: it is, or is on its way (`asking`). */
export function wanted(model: Model, asking: Range | null): Range | null {
  const range = around(model);
  const { near } = model.recording;
  if (asking) return has(model, asking.from, asking.to, (asking.to - asking.from) / asking.buckets) ? null : range;
  if (!near) return range;
  // Exact spans say nothing of how fine curves are: that is as it was asked for.
  return has(model, near.from, near.to, near.bucket_ms ?? (near.to - near.from) / range.buckets) ? null : range;
}

function around(model: Model): Range {
  const { view } = model;
  const now = known(model);
  const end = edge(view, now);
  const buckets = Math.round((view.pixels * (1 + 2 * MARGIN)) / BUCKET_PX);
  return { from: end - view.ms * (1 + MARGIN), to: Math.min(now, end + view.ms * MARGIN), buckets: Math.min(4000, Math.max(100, buckets)) };
}

/** Whether an answer has the window, about as fine as it is drawn. A window that ends now grows with the stream. */
function has(model: Model, from: number, to: number, bucket: number): boolean {
  const { view } = model;
  const now = known(model);
  const end = edge(view, now);
  const grows = now - to < 2 * LIVE_AGAIN_MS + bucket;
  return from <= end - view.ms + 1 && (to >= end - 1 || grows) && bucket <= (view.ms / view.pixels) * BUCKET_PX * 2;
}

export function asks(dispatch: (action: Action) => void): (model: Model) => void {
  const asked = { near: Number.NEGATIVE_INFINITY, day: 0, findings: 0, at: Number.NaN, story: "" };
  let asking: Range | null = null;
  const lines = { near: new Line(), day: new Line(), at: new Line(), story: new Line(), findings: new Line(), rebalances: new Line() };

  return (model) => {
    if (model.now === 0) return;
    const clock = performance.now();
    near(model, clock);
    if (asked.day === 0 || clock - asked.day > DAY_AGAIN_MS) {
      asked.day = clock;
      const now = present(model);
      lines.day.ask<Ownership>("/api/ownership", { from: written(now - DAY), to: written(now), buckets: 480 }).then(
        (ownership) => ownership && dispatch({ type: "day", ownership }),
        failed,
      );
    }
    if (asked.findings === 0 || clock - asked.findings > DAY_AGAIN_MS) {
      asked.findings = clock;
      lines.findings.ask<{ findings: Finding[] }>("/api/findings", { hours: 24 }).then((told) => told && dispatch({ type: "findings", findings: told.findings }), () => {});
    }
    rebalances(model, clock);
    at(model);
    story(model);
  };

  function near(model: Model, clock: number): void {
    const { stale, near: told } = model.recording;
    if (!lines.near.busy) asking = null;
    const missing = wanted(model, asking);
    const old = !isPast(model) && clock - asked.near > Math.max(LIVE_AGAIN_MS, told?.bucket_ms ?? 0);
    const facts = stale > 0 && clock - asked.near > FACTS_AGAIN_MS;
    const settled = clock - asked.near > SETTLE_MS && clock - lines.near.failedAt > (model.recording.state === "none" ? DAY_AGAIN_MS : RETRY_MS);
    if (!settled || !(missing || ((old || facts) && !lines.near.busy))) return;
    asked.near = clock;
    const range = around(model);
    asking = range;
    lines.near.ask<Ownership>("/api/ownership", { from: written(range.from), to: written(range.to), buckets: range.buckets }).then((ownership) => {
      if (!ownership) return;
      dispatch({ type: "clock", now: Date.now(), at: ownership.as_of });
      dispatch({ type: "near", ownership });
    }, failed);
  }

  /** Page after page, back to a day before the instant. */
  function rebalances(model: Model, clock: number): void {
    const { reaches, more } = model.recording;
    if (lines.rebalances.busy || clock - lines.rebalances.failedAt < (model.recording.state === "none" ? DAY_AGAIN_MS : RETRY_MS) || spokenOf(model) - DAY >= reaches) return;
    if (reaches === Number.NEGATIVE_INFINITY) return;
    lines.rebalances.ask<Rebalances>("/api/rebalances", { limit: REBALANCES, ...(more === null ? {} : { cursor: more }) }).then(
      (told) => told && dispatch({ type: "rebalances", rebalances: told.rebalances, more: told.rebalances.length === 0 ? null : told.next_cursor }),
      () => {},
    );
  }

  function at(model: Model): void {
    const wantedAt = isPast(model) ? Math.round(spokenOf(model)) : Number.NaN;
    const failedLately = performance.now() - lines.at.failedAt < RETRY_MS;
    if (Object.is(wantedAt, asked.at) || failedLately) return;
    asked.at = wantedAt;
    if (Number.isNaN(wantedAt)) return dispatch({ type: "at", assignments: null });
    lines.at.ask<Assignments>("/api/assignments", { at: written(wantedAt) }, AT_SETTLE_MS).then(
      // The answer is of whole milliseconds, or coarser: it is told of the instant that was asked for.
      (told) => told && dispatch({ type: "at", assignments: { ...told, at: spokenOf(model) } }),
      () => (asked.at = Number.NaN),
    );
  }

  function story(model: Model): void {
    const { story: open, rebalances } = model.recording;
    const revision = rebalances.find(({ id }) => id === open?.id)?.revision ?? 0;
    const key = open === null ? "" : `${open.id} ${revision} ${open.again}`;
    if (key === asked.story) return;
    asked.story = key;
    if (open === null) return;
    lines.story.ask<Told>(`/api/rebalances/${encodeURIComponent(open.id)}`, {}).then(
      (told) => told && dispatch({ type: "told", told }),
      (error: unknown) => dispatch({ type: "untold", id: open.id, why: error instanceof Refused && error.status === 404 ? "No rebalance has this name." : "The monitor did not answer." }),
    );
  }

  function failed(error: unknown): void {
    // 503: the database does not answer, which says nothing about what this monitor has.
    if (error instanceof Refused && error.status === 404) dispatch({ type: "none" });
  }
}

/** One kind of question: the newest is the one that counts. */
class Line {
  busy = false;
  failedAt = Number.NEGATIVE_INFINITY;
  private stop: AbortController | null = null;

  /** Null when a newer question took its place. */
  async ask<T>(path: string, values: Record<string, string | number>, waitMs = 0): Promise<T | null> {
    this.stop?.abort();
    const stop = new AbortController();
    this.stop = stop;
    this.busy = true;
    try {
      if (waitMs > 0) await new Promise((wake) => setTimeout(wake, waitMs));
      if (stop.signal.aborted) return null;
      const told = await ask<T>(path, values, stop.signal);
      return stop.signal.aborted ? null : told;
    } catch (error) {
      if (stop.signal.aborted) return null;
      this.failedAt = performance.now();
      throw error;
    } finally {
      if (this.stop === stop) this.busy = false;
    }
  }
}
