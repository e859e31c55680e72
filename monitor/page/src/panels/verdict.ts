// One sentence made from facts, what happened last, and five figures beside it: all of the instant.

import { clause } from "../causes";
import { attribute, byId, h, text } from "../dom";
import { capital, clock, count, counted, duration, span } from "../format";
import { type Instant, instantOf } from "../instant";
import { type Model, isPast, spokenOf } from "../model";
import type { Drill } from "../record";
import { standings } from "../standing";
import { goal } from "./phases";
import { HOUR } from "../view";

interface Figure {
  label: string;
  value: string;
  note: string;
  hot?: boolean;
  /** A word, not a number. */
  word?: boolean;
}

const LABELS = ["Unread now", "Lost or doubled", "Lag", "Stored", "Dark, last hour"];

export function verdict(open: (id: string) => void): (model: Model) => void {
  const headline = h("h1", {}, "Connecting to the monitor");
  const link = h("button", { type: "button", class: "link", onclick: () => open(link.dataset.id ?? "") });
  const before = h("span");
  const after = h("span");
  const lately = h("p", { class: "lately" }, before, link, after);
  const more = h("ul", { class: "conditions" });
  const cells = LABELS.map((label) => {
    const value = h("dd", { class: "value" }, "–");
    const note = h("dd", { class: "note" });
    const name = h("dt", {}, label);
    return { name, value, note, box: h("div", {}, name, value, note) };
  });
  byId("verdict").append(h("div", {}, headline, lately, more), h("dl", { id: "figures" }, ...cells.map(({ box }) => box)));

  return (model) => {
    const { state } = model;
    const past = isPast(model);
    text(headline, sentence(model));
    const trouble = past ? unread(instantOf(model)) > 0 : model.link.is !== "connecting" && (model.link.is !== "live" || state?.system.status !== "healthy");
    attribute(headline, "class", trouble ? "hot" : null);
    const last = lastly(model);
    lately.hidden = last === null;
    if (last) {
      text(before, last.before);
      text(link, last.link);
      link.hidden = last.id === null;
      link.dataset.id = last.id ?? "";
      text(after, last.after);
    }
    const rest = past ? [] : (state?.system.conditions.slice(1).map((condition) => capital(condition.text)) ?? []);
    if (rest.join("\n") !== [...more.children].map((line) => line.textContent).join("\n")) {
      more.replaceChildren(...rest.map((line) => h("li", {}, line)));
    }
    if (!state) return;
    figures(model).forEach((figure, i) => {
      const shown = cells[i];
      if (!shown) return;
      text(shown.name, figure.label);
      text(shown.value, figure.value);
      text(shown.note, figure.note);
      attribute(shown.value, "data-word", figure.word ? "" : null);
      attribute(shown.box, "class", figure.hot ? "hot" : null);
    });
  };
}

/** The verdict; when it is not of now, of when. */
export function sentence(model: Model): string {
  if (isPast(model)) return pastSentence(model);
  const system = model.state?.system;
  if (!system) {
    return model.link.is === "down" ? "The monitor does not answer." : "Connecting to the monitor";
  }
  const healthy = system.status === "healthy" ? "Healthy: " : "";
  const said = `${healthy}${healthy ? system.summary : capital(system.summary)}.`;
  return model.link.is === "live" ? said : `As of ${clock(system.as_of)}: ${said}`;
}

function unread(instant: Instant): number {
  return [...instant.held.values()].filter(({ dark }) => dark).length;
}

function pastSentence(model: Model): string {
  const instant = instantOf(model);
  if (instant.blind !== null) return "Not recorded.";
  const dark = unread(instant);
  const all = counted(instant.held.size, "partition");
  const silent = standings(model).find(({ hot }) => hot);
  if (silent && dark > 0) return `${silent.consumer_id} was silent: ${dark} of ${all} not being read.`;
  if (dark > 0) return `${dark} of ${all} not being read.`;
  const nobody = [...instant.held.values()].filter(({ owners }) => owners.length === 0).length;
  if (nobody > 0) return `${nobody} of ${all} had no owner.`;
  return `Healthy at ${clock(instant.at)}: ${instant.held.size === 1 ? "the one partition was" : `all ${all} were`} being read.`;
}

interface Lately {
  before: string;
  link: string;
  after: string;
  id: string | null;
}

/** "3 min 28 s ago in feed: feed-worker-2 timed out; 5 partitions dark for up to 6.5 s." */
function lastly(model: Model): Lately | null {
  const at = spokenOf(model);
  const past = isPast(model);
  const words = (said: string): Lately => ({ before: said, link: "", after: "", id: null });
  if (!past && (model.link.is === "down" || model.link.is === "stale")) {
    return words("What has happened since is not known here. The page asks for what it missed when the stream is back.");
  }
  const instant = instantOf(model);
  if (past && instant.blind !== null) {
    return words(`${capital(instant.blind)}. Who had what before and after is known; who read in between is not claimed.`);
  }
  const silent = standings(model).find(({ hot, reads }) => hot && reads.length > 0);
  if (silent && silent.silentMs !== null && silent.sessionMs !== null && silent.silentMs < silent.sessionMs) {
    const left = duration(silent.sessionMs - silent.silentMs);
    const heard = `Last heartbeat ${duration(silent.silentMs)} ${past ? "before" : "ago"}`;
    return words(past ? `${heard}; the group waited ${left} more before it handed its partitions over.` : `${heard}; the group waits ${left} more before it hands its partitions over.`);
  }
  const last = model.recording.rebalances.find(({ noticed_at }) => Date.parse(noticed_at) <= at);
  if (!last) return null;
  const dark = last.handovers.filter(({ dark_ms }) => dark_ms !== null).length;
  const how = last.open && !past ? "; it still goes on." : last.dark_max_ms ? `; ${counted(dark, "partition")} dark for up to ${duration(last.dark_max_ms)}.` : "; no partition was dark.";
  return { before: `${span(at - Date.parse(last.noticed_at))} ${past ? "earlier" : "ago"} in ${last.group_id}: `, link: clause(last), after: how, id: last.id };
}

function figures(model: Model): Figure[] {
  const instant = instantOf(model);
  const at = spokenOf(model);
  const dark = model.state && !instant.past ? model.state.partitions.filter(({ read }) => !read).length : unread(instant);
  const oldest = Math.max(0, ...[...instant.held.values()].filter(({ darkSince }) => darkSince !== null).map(({ darkSince }) => at - (darkSince ?? at)));
  const unknown = instant.blind !== null;
  const sent = model.state?.producers.reduce((sum, producer) => sum + producer.messages_sent_per_second, 0) ?? 0;
  return [
    { label: instant.past ? "Unread then" : "Unread now", value: unknown ? "–" : count(dark), note: `of ${counted(instant.held.size, "partition")}`, hot: dark > 0 },
    provenOf(model, at),
    { label: "Lag", value: unknown ? "–" : count(instant.lag), note: oldest > 0 ? `oldest waits ${duration(oldest)}` : `${lagOfEach(model)}records wait` },
    { label: "Stored", value: unknown || instant.rate === null ? "–" : `${count(instant.rate)}/s`, note: instant.past ? "records a second" : `${count(sent)}/s sent` },
    worstOf(model, at),
  ];
}

/** "12 + 3 ", in the order of the boards, where there are several groups and something waits. */
function lagOfEach(model: Model): string {
  const lags = isPast(model) ? [] : (model.state?.workloads ?? []).map(({ current }) => current.lag_records ?? null);
  return lags.length < 2 || lags.every((lag) => lag === 0) ? "" : `${lags.map(count).join(" + ")} `;
}

/** What the last drill's `consumer verify` said. */
function provenOf(model: Model, at: number): Figure {
  const { recording } = model;
  const label = "Lost or doubled";
  const drills = [...(recording.day?.drills ?? []), ...(recording.near?.drills ?? [])];
  const checked = drills.filter(({ until, proven }) => until !== null && until <= at && proven !== null);
  const last = checked.reduce<Drill | null>((latest, drill) => ((drill.until ?? 0) > (latest?.until ?? 0) ? drill : latest), null);
  if (last === null || last.until === null) return { label, value: "not checked", note: "in a drill, in 24 h", word: true };
  return { label, value: last.proven ? "none" : "found", note: `checked ${span(at - last.until)} ${isPast(model) ? "before" : "ago"}`, hot: !last.proven, word: true };
}

function worstOf(model: Model, at: number): Figure {
  const label = isPast(model) ? "Dark, hour before" : "Dark, last hour";
  const since = model.recording.near?.recorded_since ?? model.recording.day?.recorded_since ?? null;
  if (model.recording.state !== "recording") return { label, value: "not recorded", note: "no recorder", word: true };
  const hour = model.recording.rebalances.filter(({ noticed_at }) => Date.parse(noticed_at) <= at && Date.parse(noticed_at) > at - HOUR);
  const worst = Math.max(0, ...hour.map(({ dark_max_ms }) => dark_max_ms ?? 0));
  const session = Math.min(...instantOf(model).groups.map(({ session_timeout_ms }) => session_timeout_ms ?? Number.POSITIVE_INFINITY));
  const short = since !== null && at - since < HOUR ? `since ${clock(since)}` : null;
  const note = short ?? `worst of ${counted(hour.length, "rebalance")}`;
  return { label, value: worst === 0 ? "none" : duration(worst), note, hot: worst > goal(Number.isFinite(session) ? session : null), word: worst === 0 };
}

