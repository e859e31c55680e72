// Hands on the timeline: drag to go back, click for an instant, wheel with Ctrl or Alt to zoom.

import { type Move, look, pan, zoom } from "../view";

/** Where the pointer is, as the timeline sees it. */
export interface Place {
  readonly at: number;
  /** On the strip of the last day. */
  readonly strip: boolean;
  readonly perPixel: number;
  readonly end: number;
  readonly ms: number;
}

const CLICK_PX = 4;

export function input(element: HTMLElement, place: (event: MouseEvent) => Place | null, move: (move: Move) => void, hover: (event: PointerEvent | null) => void): void {
  let drag: { x: number; end: number; perPixel: number; moved: boolean } | null = null;
  element.addEventListener("pointerdown", (event) => {
    const at = place(event);
    if (event.button !== 0 || !at || (event.target as Element).closest("button")) return;
    drag = { x: event.clientX, end: at.end, perPixel: at.perPixel, moved: false };
  });
  element.addEventListener("pointermove", (event) => {
    if (!drag) return hover(event);
    const by = event.clientX - drag.x;
    if (!drag.moved && Math.abs(by) <= CLICK_PX) return;
    if (!drag.moved) {
      element.setPointerCapture(event.pointerId);
      element.dataset.dragged = "";
      hover(null);
    }
    drag.moved = true;
    move(pan(drag.end - by * drag.perPixel));
  });
  const release = (event: PointerEvent) => {
    const was = drag;
    drag = null;
    delete element.dataset.dragged;
    if (!was || was.moved || event.type === "pointercancel") return;
    const at = place(event);
    if (at) move(at.strip ? (view, now) => pan(at.at + view.ms / 2)({ ...view, cursor: null }, now) : look(at.at));
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("pointerleave", () => hover(null));
  element.addEventListener(
    "wheel",
    (event) => {
      const at = place(event);
      if (!at) return;
      if (event.ctrlKey || event.metaKey || event.altKey) {
        event.preventDefault();
        const by = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
        move(zoom(at.ms * Math.exp(by * 0.003), at.at));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        move(pan(at.end + event.deltaX * at.perPixel));
      }
    },
    { passive: false },
  );
}
