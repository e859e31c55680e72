// What is under the pointer: whose partition, since when, how dark.

import { h, text } from "../dom";
import { clock, count, duration, moment } from "../format";
import { type Model, known, present } from "../model";
import type { Dark } from "../record";
import type { Board } from "./board";
import { laneAtHeight } from "./geometry";

const OFFSET = 14;

export function tip(): (event: PointerEvent | null, at: number, model: Model | null, boards: Iterable<Board>) => void {
  const title = h("b");
  const lines = [h("span"), h("span"), h("span")];
  const box = h("div", { id: "tip", hidden: true, "aria-hidden": "true" }, title, ...lines);
  document.body.append(box);

  return (event, at, model, boards) => {
    const said = event && model ? told(event, at, model, boards) : null;
    box.hidden = said === null;
    if (!said || !event) return;
    text(title, said.title);
    lines.forEach((line, i) => text(line, said.lines[i] ?? ""));
    box.style.left = `${Math.min(innerWidth - 320, event.clientX + OFFSET)}px`;
    box.style.top = `${Math.min(innerHeight - 100, event.clientY + OFFSET)}px`;
  };
}

function told(event: PointerEvent, at: number, model: Model, boards: Iterable<Board>): { title: string; lines: string[] } | null {
  for (const { shown, layout, middle } of boards) {
    if (!shown || !layout) continue;
    const place = laneAtHeight(layout, event.clientY - middle.getBoundingClientRect().top);
    const lane = place === null ? undefined : shown.group.lanes[place];
    if (!lane) continue;
    const holds = ({ from, until }: { from: number; until: number | null }) => from <= at && (until === null || at < until);
    const title = `${shown.group.group_id} partition ${lane.partition} at ${clock(at, 1)}`;
    if (at > known(model)) return { title, lines: ["not known yet"] };
    const blind = shown.ownership.blind.find(holds);
    if (blind) return { title, lines: [`not recorded: ${blind.why}`] };
    const name = (slot: number) => shown.ownership.consumers.find((consumer) => consumer.slot === slot)?.consumer_id ?? "somebody";
    const span = lane.spans.find(holds);
    const second = lane.two_owners.find(holds);
    const dark = lane.dark.find(holds);
    const changes = span && span.changes > 0 ? `, ${count(span.changes)} changes in this stretch` : "";
    return {
      title,
      lines: [
        span ? `${name(span.slot)} since ${moment(span.from, present(model), 1)}${changes}` : "no owner",
        dark ? darkText(dark, at) : lane.quiet.some(holds) ? "quiet: nothing to read" : "",
        second ? `${name(second.slot)} takes itself for its owner too` : "",
      ],
    };
  }
  return null;
}

function darkText(dark: Dark, at: number): string {
  const of = dark.until === null ? "" : ` of ${duration(dark.until - dark.from)}`;
  const phase =
    dark.noticed === null || at < dark.noticed ? "not noticed yet" : dark.claimed === null || at < dark.claimed ? "noticed, not claimed yet" : "claimed, nothing stored yet";
  return `dark for ${duration(at - dark.from)}${of}: ${phase}`;
}
