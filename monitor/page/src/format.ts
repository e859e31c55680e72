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

/** 14:03:07, in UTC; with digits of the second's fraction, cut off and not rounded. */
export function clock(at: string | number, digits = 0): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "–";
  return date.toISOString().slice(11, digits > 0 ? 20 + digits : 19);
}

const NEAR_MS = 12 * 3_600_000;

/** 14:03:07; farther than half a day from `now` with the day, and then only to the minute. */
export function moment(at: string | number, now: number, digits = 0): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "–";
  if (Math.abs(now - date.getTime()) < NEAR_MS) return clock(at, digits);
  const iso = date.toISOString();
  return `${iso.slice(5, 10)} ${digits > 0 ? clock(at, digits) : iso.slice(11, 16)}`;
}

/** How long, in the two largest units: 3 min 28 s. */
export function span(ms: number): string {
  const s = Math.round(ms / 1000);
  const two = (large: number, unit: string, small: number, rest: string) => `${large} ${unit}${small > 0 ? ` ${small} ${rest}` : ""}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** "0 3 5". */
export function numbers(values: readonly number[]): string {
  return values.length === 0 ? "none" : values.join(" ");
}

/** A number with its noun: 1 partition, 2 partitions. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(names: readonly (string | number)[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
