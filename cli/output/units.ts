// Sizes, ages and times as ctr prints them.
import type { Timestamp } from '../../proto/gen/google.protobuf.ts';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `1.0 MiB`. */
export function binarySize(bytes: number | string): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${BINARY[unit]}`;
}

/** `1.085MB`: four significant digits, units of 1000. */
export function decimalSize(bytes: number | string): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1000 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${DECIMAL[unit]}`;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;

/** How long ago, in words: `6 minutes`, `About an hour`. */
export function age(timestamp: Timestamp | null, now = Date.now()): string {
  const seconds = Math.floor((now - milliseconds(timestamp)) / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < MINUTE) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / MINUTE);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(seconds / HOUR + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (seconds < 2 * WEEK) return `${Math.floor(seconds / DAY)} days`;
  if (seconds < 2 * MONTH) return `${Math.floor(seconds / WEEK)} weeks`;
  if (seconds < 2 * YEAR) return `${Math.floor(seconds / MONTH)} months`;
  return `${Math.floor(seconds / YEAR)} years`;
}

export function milliseconds(timestamp: Timestamp | null): number {
  return timestamp === null ? 0 : Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6;
}

/** `2026-01-02T03:04:05.123456789Z`; nanoseconds without trailing zeros. */
export function rfc3339Nano(timestamp: Timestamp | null): string {
  if (timestamp === null) return '0001-01-01T00:00:00Z';
  const fraction = timestamp.nanos === 0 ? '' : `.${String(timestamp.nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${wholeSeconds(timestamp)}${fraction}Z`;
}

/** `2026-01-02T03:04:05Z`. */
export function rfc3339(timestamp: Timestamp | null): string {
  return timestamp === null ? '0001-01-01T00:00:00Z' : `${wholeSeconds(timestamp)}Z`;
}

/** Go's default form of a time: `2026-01-02 03:04:05.123456789 +0000 UTC`. */
export function goTime(timestamp: Timestamp | null): string {
  return `${rfc3339Nano(timestamp).slice(0, -1).replace('T', ' ')} +0000 UTC`;
}

function wholeSeconds(timestamp: Timestamp): string {
  return new Date(Number(timestamp.seconds) * 1000).toISOString().slice(0, 19);
}

/** Sorted `key=value` pairs; `-` for none unless `empty` says otherwise. */
export function labelList(labels: Readonly<Record<string, string>>, empty: string): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? empty : pairs.toSorted((a, b) => (a < b ? -1 : 1)).join(',');
}
