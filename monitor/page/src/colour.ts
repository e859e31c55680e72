// Each consumer keeps its colour and its short name: by the slot that the recorder gave it, for good. Sixteen
// pairs of hue and pattern, then they repeat.

const HUES = 8;
const PATTERNS = 4;

export interface Mark {
  slot: number;
  hue: number;
  /** 0 plain, 1 a line along the middle, 2 dots, 3 posts. Diagonals are dark time's alone. */
  pattern: number;
  /** c1, w2: the initial of the last word and the number. */
  short: string;
}

export function hue(slot: number): number {
  return slot % HUES;
}

export function pattern(slot: number): number {
  return (slot + 2 * Math.floor(slot / HUES)) % PATTERNS;
}

export function mark(slot: number, id: string): Mark {
  return { slot, hue: hue(slot), pattern: pattern(slot), short: shortName(id) };
}

/** Of consumers by id. Who has no slot yet gets a free one, in the order of the names. */
export function marks(
  consumers: readonly { consumer_id: string }[],
  slots: ReadonlyMap<string, number> = new Map(),
): Map<string, Mark> {
  const taken = new Set(slots.values());
  let free = 0;
  const next = () => {
    while (taken.has(free)) free += 1;
    return free++;
  };
  const ids = [...new Set(consumers.map((consumer) => consumer.consumer_id))].sort();
  return new Map(ids.map((id) => [id, mark(slots.get(id) ?? next(), id)]));
}

export function shortName(id: string): string {
  const words = id.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== "");
  const number = words.findLast((word) => /^\d+$/.test(word)) ?? "";
  const word = words.findLast((candidate) => /^\p{L}/u.test(candidate)) ?? "";
  const short = `${[...word][0] ?? ""}${number}`;
  return short === "" ? "?" : [...short].slice(0, 4).join("");
}
