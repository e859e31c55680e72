// Numbers and times as the page writes them.

const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Control, bidirectional and zero-width characters: what cannot be seen, or changes how others are seen. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Text with its hidden characters written out, such as \u{202e}: two different names never look the same. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (hidden) => `\\u{${hidden.charCodeAt(0).toString(16)}}`);
}

/** 12,345; under ten with one decimal where there is one. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : NUMBER.format(Math.round(value));
}

/** Under 100 ms in ms, under 1 s with two decimals, then with one. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

/** 14:03:07, in UTC. */
export function clock(at: string | number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().slice(11, 19);
}

/** "0 3 5". */
export function numbers(values: readonly number[]): string {
  return values.length === 0 ? "none" : values.join(" ");
}

/** A number with its noun: 1 partition, 2 partitions. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}
