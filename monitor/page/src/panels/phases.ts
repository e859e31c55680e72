// Dark time as a bar of three phases, in lists: detect hatched, reassign solid, resume open. No canvas: widths only.

import { attribute, h } from "../dom";

export interface Phases {
  readonly dark_ms: number | null;
  readonly detect_ms: number | null;
  readonly reassign_ms: number | null;
  readonly resume_ms: number | null;
}

const NAMES = ["detect", "reassign", "resume"] as const;

export function phaseBar(): HTMLElement {
  return h("span", { class: "phases", "aria-hidden": "true" }, ...NAMES.map((name) => h("i", { class: name })), h("i", { class: "unknown" }));
}

/** `scale`: milliseconds of a full bar. What is dark without known phases is an open, dashed box. */
export function drawPhases(bar: HTMLElement, phases: Phases, scale: number, goal: number): void {
  const parts = [phases.detect_ms ?? 0, phases.reassign_ms ?? 0, phases.resume_ms ?? 0];
  const dark = phases.dark_ms ?? 0;
  const rest = Math.max(0, dark - parts.reduce((sum, part) => sum + part, 0));
  const widths = [...parts, rest > 20 || dark === 0 ? rest : 0].map((ms) => (Math.min(ms, scale) / scale) * 100);
  // Longer than the scale: to its end, in proportion.
  const total = widths.reduce((sum, width) => sum + width, 0);
  [...bar.children].forEach((part, i) => {
    if (!(part instanceof HTMLElement)) return;
    const width = (widths[i] ?? 0) * (total > 100 ? 100 / total : 1);
    part.hidden = width <= 0;
    part.style.inlineSize = `max(2px, ${width.toFixed(2)}%)`;
  });
  attribute(bar, "data-over", dark > goal ? "" : null);
}

export function phaseLegend(): HTMLElement {
  return h("p", { class: "legend small", "aria-hidden": "true" }, ...NAMES.map((name) => h("span", {}, h("span", { class: "phases sample" }, h("i", { class: name })), name)));
}

/** A group's dark time is to stay within its session time-out and a second. */
export function goal(sessionMs: number | null | undefined): number {
  return (sessionMs ?? 6000) + 1000;
}
