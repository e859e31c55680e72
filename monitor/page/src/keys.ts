// The keyboard. Letters alone can be switched off (WCAG 2.1.4): who dictates would press them without meaning to.

import { switchTheme } from "./panels/bar";
import { h } from "./dom";
import { clock } from "./format";
import { type Model, present, spokenOf } from "./model";
import { spokenStory } from "./story/words";
import { sentence } from "./panels/verdict";
import { type Move, WINDOWS, live, look, pause, zoom } from "./view";

export interface Hands {
  model(): Model;
  move(move: Move): void;
  open(id: string): void;
  close(): void;
  zoom(): void;
  speak(text: string): void;
}

const LIST: [string, string][] = [
  ["← →", "move the instant"],
  ["Shift ← →", "move it ten times as far"],
  ["[ ]", "rebalance before, after"],
  ["Enter", "open its story"],
  ["Esc", "close the story"],
  ["Z", "zoom to the story, and back"],
  ["L", "back to live"],
  ["Space", "pause, go on"],
  ["+ −", "zoom; also Ctrl or Alt and the wheel"],
  ["1 to 7", "a minute to a week"],
  ["O", "order by partition or by owner"],
  ["T", "the timeline as tables"],
  ["D", "light or dark"],
  ["?", "this list"],
];

/** Gives what shows the list. */
export function keys(hands: Hands): () => void {
  const letters = h("input", { type: "checkbox" });
  letters.checked = localStorage.getItem("letters") !== "off";
  letters.addEventListener("change", () => localStorage.setItem("letters", letters.checked ? "on" : "off"));
  const close = h("button", { type: "button", class: "btn", onclick: () => dialog.close() }, "Close");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keyboard"),
    h("dl", {}, ...LIST.flatMap(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)])),
    h("label", { class: "check" }, letters, "Keys without Ctrl or Alt act"),
    close,
  );
  document.body.append(dialog);
  const show = () => dialog.showModal();
  let pointed: string | null = null;

  const arrow = (share: number) => {
    const model = hands.model();
    const at = spokenOf(model) + model.view.ms * share;
    hands.move(look(at));
    const now = hands.model();
    hands.speak(`${clock(spokenOf(now))}. ${sentence(now)}`);
  };
  const bracket = (forward: boolean) => {
    const model = hands.model();
    const at = model.view.cursor ?? present(model);
    const all = [...model.recording.rebalances].reverse();
    const noticed = (one: { noticed_at: string }) => Date.parse(one.noticed_at);
    const found = forward ? all.find((one) => noticed(one) > at + 1) : all.findLast((one) => noticed(one) < at - 1);
    if (!found) return;
    pointed = found.id;
    hands.move(look(noticed(found)));
    hands.speak(spokenStory(found));
    if (model.recording.story !== null) hands.open(found.id);
  };

  const press: Record<string, () => void> = {
    l: () => {
      hands.move(live);
      hands.speak("Live");
    },
    " ": () => hands.move(pause),
    "+": () => hands.move((view, now) => zoom(view.ms / 2, view.cursor)(view, now)),
    "-": () => hands.move((view, now) => zoom(view.ms * 2, view.cursor)(view, now)),
    "[": () => bracket(false),
    "]": () => bracket(true),
    o: () => hands.move((view) => ({ ...view, order: view.order === "owner" ? "partition" : "owner" })),
    t: () => hands.move((view) => ({ ...view, table: !view.table })),
    z: hands.zoom,
    d: switchTheme,
    "?": show,
    ...Object.fromEntries(WINDOWS.map(({ ms }, i) => [String(i + 1), () => hands.move((view, now) => zoom(ms, view.cursor)(view, now))])),
  };
  press["="] = press["+"] ?? show;

  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || dialog.open) return;
    const target = event.target as Element;
    if (target.closest("input, textarea, select")) {
      if (event.key === "Escape") (target as HTMLElement).blur();
      return;
    }
    const inButton = target.closest("button, a") !== null;
    if (event.key === "Escape") return hands.close();
    if (event.key === "Enter" && !inButton && pointed !== null) return hands.open(pointed);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      return arrow((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 0.1 : 0.01));
    }
    if (!letters.checked || (event.key === " " && inButton)) return;
    const does = press[event.key.toLowerCase()];
    if (!does) return;
    event.preventDefault();
    does();
  });
  return show;
}
