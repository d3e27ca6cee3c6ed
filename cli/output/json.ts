// JSON for programs: `--format json`, and where ctr prints JSON itself.
import { jsonText as stringify } from '../../spec/json.ts';
import type { Flag } from '../args/flags.ts';
import { flag } from '../args/flags.ts';
import { rfc3339Nano } from './units.ts';

/** The flag of every command that prints a table. */
export const format: Flag<'table' | 'json'> = flag.choice(['table', 'json'], 'table', {
  help: 'output format: "table" for people, "json" for programs',
});

/** Indented JSON, with a line end. Bigints are printed as the numbers that they are. */
export function jsonText(value: unknown, indent = '    '): string {
  return `${stringify(value, indent)}\n`;
}

/** JSON on one line. */
export function compactJson(value: unknown): string {
  return stringify(value);
}

const MAPS = new Set(['labels', 'annotations', 'extensions']);

/** Without the fields that have their zero value, which Go's messages leave out. */
export function withoutZeros(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutZeros);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, item]) => !isZero(item) && !(MAPS.has(key) && Object.keys(item as object).length === 0))
      .map(([key, item]) => [key, withoutZeros(item)]),
  );
}

function isZero(value: unknown): boolean {
  return (
    value === null ||
    value === '' ||
    value === 0 ||
    value === 0n ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  );
}

/** A message of the wire as plain JSON: times as RFC 3339, bytes as base64, 64-bit integers as numbers. */
export function plain(message: unknown): unknown {
  if (typeof message !== 'object' || message === null) return message;
  if (message instanceof Uint8Array) return Buffer.from(message).toString('base64');
  if (Array.isArray(message)) return message.map(plain);
  if (isTimestamp(message)) return rfc3339Nano(message);
  return Object.fromEntries(
    Object.entries(message).map(([key, value]) => [key, isCount(key, value) ? BigInt(value) : plain(value)]),
  );
}

const COUNTS = new Set(['content_bytes', 'size', 'offset', 'total', 'inodes', 'pid', 'pidns']);

function isCount(key: string, value: unknown): value is string {
  return COUNTS.has(key) && typeof value === 'string' && /^-?\d+$/.test(value);
}

function isTimestamp(value: object): value is { seconds: string; nanos: number } {
  const keys = Object.keys(value);
  return (
    keys.length === 2 &&
    'seconds' in value &&
    typeof value.seconds === 'string' &&
    'nanos' in value &&
    typeof value.nanos === 'number'
  );
}
