// The top bar: is the stream alive, how old is what is shown, what is up.

import { clock, duration, moment, span } from "../format";
import { byId, attribute, h, text } from "../dom";
import { type Model, isPast, present, silence, spokenOf } from "../model";

export function bar(toLive: () => void, showKeys: () => void): (model: Model) => void {
  const dot = h("i");
  const live = h("span");
  const before = h("span");
  const at = h("b");
  const after = h("span");
  live.append(before, at, after);
  const back = h("button", { type: "button", id: "to-live", hidden: true, onclick: toLive }, "Back to live", h("span", { "aria-hidden": "true", class: "roomy" }, " L"));
  const keys = h("button", { type: "button", class: "quiet roomy", onclick: showKeys }, "Keys ?");
  const sources = h("ul", { id: "sources", "aria-label": "Services" });
  const time = h("span", { class: "time" });
  const theme = h("button", { type: "button", class: "quiet", onclick: switchTheme }, "Theme");
  byId("bar").append(
    h("b", {}, "Millrace"),
    h("span", { id: "live" }, dot, live),
    back,
    h("span", { class: "space" }),
    sources,
    time,
    keys,
    theme,
  );
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "";

  return (model) => {
    document.body.dataset.link = model.link.is;
    document.body.toggleAttribute("data-past", isPast(model));
    const [first, strong, rest] = liveness(model);
    text(before, first);
    text(at, strong);
    text(after, rest);
    back.hidden = !isPast(model);
    text(time, model.now === 0 ? "" : `${clock(present(model))} UTC`);
    const services = isPast(model) ? servicesThen(model) : servicesNow(model);
    const wanted = services.map(({ name, up }) => `${name}${up ? "" : " down"}`);
    if (wanted.join() !== [...sources.children].map((child) => child.textContent).join()) {
      sources.replaceChildren(...wanted.map((name, i) => h("li", { class: services[i]?.up ? "" : "down" }, name)));
    }
    attribute(dot, "data-link", model.link.is);
  };
}

interface Service {
  name: string;
  up: boolean;
}

function servicesNow({ state }: Model): Service[] {
  const system = state?.system;
  if (!system) return [];
  const brokers = system.brokers.map((broker) => ({ name: `kafka${broker.id}`, up: broker.up && system.kafka.up }));
  return [...brokers, { name: "postgres", up: system.database.up }];
}

/** As far as it was recorded: of brokers, and of the recorder itself. */
function servicesThen(model: Model): Service[] {
  const at = spokenOf(model);
  const { near } = model.recording;
  if (!near) return [];
  const lasts = ({ from, until }: { from: number; until: number | null }) => from <= at && (until === null || at < until);
  const brokers = (model.state?.system.brokers ?? []).map(({ id }) => ({ name: `kafka${id}`, up: !near.brokers.some((span) => span.broker === id && lasts(span)) }));
  return [...brokers, { name: "recorder", up: !near.blind.some(lasts) }];
}

/** In three parts; the middle one is the instant that everything speaks of. */
function liveness(model: Model): [string, string, string] {
  const { link, view } = model;
  const now = present(model);
  if (view.cursor !== null) return ["Looking at ", moment(view.cursor, now, 1), ` · ${span(now - view.cursor)} ago`];
  if (view.end !== null) return ["Looking back, up to ", moment(view.end, now), ""];
  if (view.paused !== null) return ["Paused at ", clock(view.paused), ` · ${span(now - view.paused)} behind`];
  switch (link.is) {
    case "connecting":
      return ["Connecting", "", ""];
    case "live":
      return [`Live · data ${dataAge(model)} old`, "", ""];
    case "stale":
      return [`No word for ${duration(silence(model))}`, "", ""];
    case "down": {
      const next = link.nextTryAt === null ? "" : `, next try in ${duration(Math.max(0, link.nextTryAt - model.now))}`;
      return [`Stream lost at ${clock(link.since)}${next}`, "", ""];
    }
  }
}

/** Age of the facts, not of the message: the monitor goes on talking when the database does not. */
function dataAge(model: Model): string {
  const system = model.state?.system;
  if (!system?.database.last_answer) return "–";
  const atMonitor = Date.parse(system.as_of) - Date.parse(system.database.last_answer);
  return duration(Math.max(0, atMonitor) + (silence(model) ?? 0));
}

export function switchTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
}
