// Numbers and times as people read them, and the other way round.

const UNITS = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const FACTORS = { ms: 0.001, s: 1, m: 60, h: 3600, "%": 1, "": 1 };

/** The bytes that a text like "512mb" says; null if it says none. */
export function bytesOf(text) {
  const found = /^\s*([\d.]+)\s*([kmgt]?)i?b?\s*$/i.exec(text ?? "");
  return number(found, UNITS);
}

/** The seconds or percents that a text like "1.2s", "350ms" or "98%" says; null if it says none. */
export function numberOf(text) {
  const found = /^\s*([\d.]+)\s*(ms|s|m|h|%)?\s*$/i.exec(text ?? "");
  return number(found, FACTORS);
}

function number(found, factors) {
  const value = found ? Number(found[1]) * factors[(found[2] ?? "").toLowerCase()] : NaN;
  return Number.isFinite(value) ? value : null;
}

/** Bytes in words. */
export function bytes(value) {
  if (value == null) return "–";
  let unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : Number(value.toFixed(1))} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
}

/** A part of 1, as percents. */
export function percent(part) {
  const value = part * 100;
  return `${Math.abs(value) >= 10 || Number.isInteger(value) ? Math.round(value) : Number(value.toFixed(value < 1 ? 2 : 1))} %`;
}

/** How a number of this unit reads: "fraction", "s", "count", or any other, which is said behind it. */
export function formatOf(unit) {
  if (unit === "fraction") return percent;
  if (unit === "s") return duration;
  const plain = (value) => COUNT.format(Number(value.toPrecision(3)));
  return unit === "count" || !unit ? plain : (value) => `${plain(value)} ${unit}`;
}

/** Seconds of a response. */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(seconds < 0.01 ? 2 : 3))} ms`;
  return seconds < 100 ? `${Number(seconds.toFixed(2))} s` : age(seconds * 1000);
}

/** A span in milliseconds, in its two largest units. */
export function age(span) {
  if (!Number.isFinite(span)) return "–";
  const seconds = Math.max(0, Math.floor(span / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DAY = new Intl.DateTimeFormat(undefined, DATE);
const YEAR = new Intl.DateTimeFormat(undefined, { ...DATE, year: "numeric" });
const COUNT = new Intl.NumberFormat("en");

/** The time of day. */
export const clock = (moment) => (Number.isFinite(moment) ? CLOCK.format(moment) : "–");

/** Day and time; the year, too, if it is another one. */
export function dateTime(moment) {
  if (!Number.isFinite(moment)) return "–";
  const isOurs = new Date(moment).getFullYear() === new Date().getFullYear();
  return (isOurs ? DAY : YEAR).format(moment);
}

/** A whole number with separators. */
export const count = (value) => COUNT.format(value);

/** "1 agent", "2 agents". */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A text that sorts as people expect: without case, "agent-10" behind "agent-9". */
export const sortable = (text) => text.slice(0, 300).toLowerCase().replace(/\d{1,15}/g, (digits) => digits.padStart(15, "0"));
