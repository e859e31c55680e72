// The one connection to the monitor. EventSource resumes with Last-Event-ID by itself, but it gives up on an
// answer that is no stream (a proxy's 502, our own 503); then it is opened anew, with the last number in the
// request that replaces it.

import type { Action, Event, State } from "./model";

const RETRY_MS = [1000, 1000, 2000, 4000, 8000];
/** What happens, by name: a kind that this page does not know is left out. */
const KINDS = ["rebalancing", "alarm", "rebalance", "ownership", "slot", "drill", "recorder"];

export function connect(dispatch: (action: Action) => void, onOpen: () => void): void {
  let tries = 0;

  const open = () => {
    const source = new EventSource("/api/stream");
    const on = (name: string, handle: (data: string) => void) =>
      source.addEventListener(name, (message) => handle((message as MessageEvent<string>).data));

    source.onopen = () => {
      tries = 0;
      onOpen();
    };
    on("state", (data) => dispatch({ type: "state", now: Date.now(), state: JSON.parse(data) as State }));
    on("reset", () => dispatch({ type: "reset", now: Date.now() }));
    for (const kind of KINDS) {
      on(kind, (data) => dispatch({ type: "event", now: Date.now(), event: JSON.parse(data) as Event }));
    }
    source.onerror = () => {
      const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] ?? 8000;
      tries += 1;
      dispatch({ type: "lost", now: Date.now(), nextTryAt: Date.now() + wait });
      if (source.readyState === EventSource.CLOSED) {
        source.close();
        setTimeout(open, wait);
      }
    };
  };
  open();
}
