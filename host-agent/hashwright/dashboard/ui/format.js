// Numbers and times as people read them. A value that is not known is a dash, never a zero.

export const NONE = "–";
const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Digits of a number below 1000, three of them at least. */
function three(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/** The prefix for a size: [factor, letter]. */
export function scale(size) {
  const power = known(size) && size > 0 ? Math.max(0, Math.min(PREFIXES.length - 1, Math.floor(Math.log10(size * 1.0005) / 3))) : 0;
  return [1000 ** power, PREFIXES[power]];
}

/** 1.07 TH/s */
export function rate(hps) {
  if (!known(hps)) return NONE;
  const [factor, letter] = scale(hps);
  return `${three(hps / factor)} ${letter}H/s`;
}

/** A rate and its two standard deviations with one unit: ["1.07", "0.07", "TH/s"]. */
export function rateParts(hps, sigma) {
  if (!known(hps)) return [NONE, null, "H/s"];
  const [factor, letter] = scale(Math.max(hps, known(sigma) ? 2 * sigma : 0));
  const digits = hps / factor >= 99.95 ? 0 : hps / factor >= 9.995 ? 1 : 2;
  return [(hps / factor).toFixed(digits), known(sigma) ? ((2 * sigma) / factor).toFixed(digits) : null, `${letter}H/s`];
}

/** 48.2 k */
export function short(value) {
  if (!known(value)) return NONE;
  if (Math.abs(value) < 1000) return Number.isInteger(value) ? String(value) : three(value);
  const [factor, letter] = scale(Math.abs(value));
  return `${three(value / factor)} ${letter}`;
}

/** 12 345 */
export const whole = (value) => (known(value) ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : NONE);

/** A number with so many digits and its unit. */
export const unit = (value, name, digits = 1) => (known(value) ? `${value.toFixed(digits)}\u202f${name}` : NONE);

export const percent = (part, digits = 0) => (known(part) ? `${(part * 100).toFixed(digits)}\u202f%` : NONE);

/** 3 d 4 h, 5 min 10 s, 8 s */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const s = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0\u202fs";
  return parts.slice(first, first + 2).filter(([count], i) => i === 0 || count > 0).map(([count, name]) => `${count}\u202f${name}`).join(" ");
}

export const ago = (seconds) => (known(seconds) ? (seconds < 2 ? "just now" : `${duration(seconds)} ago`) : "never");

/** Time of day, with the date if it is another day. */
export function clock(unix, seconds = true) {
  if (!known(unix) || unix <= 0) return NONE;
  const date = new Date(unix * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }), hourCycle: "h23" });
  const today = new Date().toDateString() === date.toDateString();
  return today ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

export const bytes = (count) => (known(count) && count > 0 ? `${(count / 1024 / 1024).toFixed(1)}\u202fMiB` : NONE);

export const bitcoin = (sat) => (known(sat) ? `${(sat / 1e8).toFixed(8)}\u202fBTC` : NONE);

/** Any JSON value in a line. */
export function plain(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "string") return value === "" ? "empty" : value;
  if (known(value)) return String(Math.round(value * 1e6) / 1e6);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return JSON.stringify(value);
}
