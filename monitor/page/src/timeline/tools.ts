// Over the timeline: how wide the window is, how lanes are ordered, pause, table, and what the patterns mean.

import { attribute, h, text } from "../dom";
import { type Move, type View, WINDOWS, isLive, pause, zoom } from "../view";

export interface Tools {
  readonly element: HTMLElement;
  draw(view: View, lanes: number): void;
}

const LEGEND = [
  ["dark", "dark"],
  ["two", "two owners"],
  ["quiet", "quiet"],
  ["blind", "not recorded"],
];

export function tools(move: (move: Move) => void): Tools {
  const press = (name: string, change: Move) => h("button", { type: "button", "aria-pressed": "false", onclick: () => move(change) }, name);
  const windows = WINDOWS.map(({ ms, name, phone }) => {
    const button = press(name, (view, now) => zoom(ms, isLive(view) ? null : view.cursor)(view, now));
    if (!phone) button.classList.add("roomy");
    return { ms, button };
  });
  const orders = (["partition", "owner"] as const).map((order) => ({ order, button: press(`By ${order}`, (view) => ({ ...view, order })) }));
  const stop = press("Pause", pause);
  const table = press("Table", (view) => ({ ...view, table: !view.table }));
  const group = (name: string, extra: string, ...buttons: HTMLElement[]) => h("div", { class: `seg ${extra}`, role: "group", "aria-label": name }, ...buttons);
  const element = h(
    "div",
    { id: "tools" },
    group("Window", "", ...windows.map(({ button }) => button)),
    group("Order of lanes", "roomy", ...orders.map(({ button }) => button)),
    group("View", "", stop, table),
    h("div", { class: "legend", "aria-hidden": "true" }, ...LEGEND.map(([is, name]) => h("span", {}, h("i", { class: "swatch", "data-is": is ?? "", "data-hue": is === "dark" || is === "blind" ? null : "0" }), name ?? ""))),
  );
  return {
    element,
    draw(view, lanes) {
      for (const { ms, button } of windows) attribute(button, "aria-pressed", String(view.ms === ms));
      for (const { order, button } of orders) attribute(button, "aria-pressed", String(view.order === order));
      attribute(stop, "aria-pressed", String(view.paused !== null));
      text(stop, view.paused === null ? "Pause" : "Go on");
      attribute(table, "aria-pressed", String(view.table));
      element.hidden = lanes === 0;
    },
  };
}
