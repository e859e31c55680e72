// Each consumer keeps its colour and its short name. Sixteen pairs of hue and pattern, then they repeat.

const HUES = 8;
const PATTERNS = 4;

export interface Mark {
  hue: number;
  pattern: number;
  /** c1, w2: the initial of the last word and the number. */
  short: string;
}

/** By place among all known consumers, which only grows: a colour does not change while the page is open. */
export function marks(consumers: readonly { consumer_id: string }[]): Map<string, Mark> {
  const ids = consumers.map((consumer) => consumer.consumer_id).sort();
  return new Map(
    ids.map((id, slot) => [
      id,
      { hue: slot % HUES, pattern: (slot + 2 * Math.floor(slot / HUES)) % PATTERNS, short: shortName(id) },
    ]),
  );
}

export function shortName(id: string): string {
  const words = id.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== "");
  const number = words.findLast((word) => /^\d+$/.test(word)) ?? "";
  const word = words.findLast((candidate) => /^\p{L}/u.test(candidate)) ?? "";
  const short = `${[...word][0] ?? ""}${number}`;
  return short === "" ? "?" : [...short].slice(0, 4).join("");
}
