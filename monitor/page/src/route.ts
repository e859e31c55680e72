// The address: `/` for now, `/r/<id>` for the story of a rebalance.

import { permalink } from "./story/words";

export function opened(): string | null {
  const [, id] = /^\/r\/(.+)$/.exec(location.pathname) ?? [];
  if (id === undefined) return null;
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

export function go(id: string | null): void {
  const path = id === null ? "/" : permalink(id);
  if (location.pathname !== path) history.pushState(null, "", path);
}

export function onBack(handle: (id: string | null) => void): void {
  addEventListener("popstate", () => handle(opened()));
}
