// Questions to the monitor. Instants go out as RFC 3339, as its other answers have them.

export class Refused extends Error {
  constructor(
    readonly status: number,
    path: string,
  ) {
    super(`${path}: ${status}`);
  }
}

type Values = Record<string, string | number | null | undefined>;

export async function ask<T>(path: string, values: Values = {}, signal?: AbortSignal): Promise<T> {
  return (await answer(path, values, { ...(signal ? { signal } : {}) })).json() as Promise<T>;
}

/** The flight report of a rebalance. */
export async function report(id: string): Promise<string> {
  return (await answer(`/api/rebalances/${encodeURIComponent(id)}`, {}, { headers: { accept: "text/markdown" } })).text();
}

export async function note(id: string, author: string, text: string): Promise<void> {
  await answer(`/api/rebalances/${encodeURIComponent(id)}/notes`, {}, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ author, text }),
  });
}

export function instant(at: number): string {
  return new Date(at).toISOString();
}

async function answer(path: string, values: Values, init: RequestInit): Promise<Response> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  const told = await fetch(query.size > 0 ? `${path}?${query}` : path, init);
  if (!told.ok) throw new Refused(told.status, path);
  return told;
}
