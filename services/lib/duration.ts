// Durations as Go writes them: `1h30m`, `2s`, `500ms`.
import { invalidArgument } from './errors.ts';

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a duration. Throws `invalid argument`. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  const match = /^([+-]?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)$/.exec(text);
  if (match === null) throw invalidArgument(`duration "${text}" is not like 500ms or 1h30m`);
  let total = 0;
  for (const [, number, unit] of (match[2] ?? '').matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * (MILLISECONDS[unit ?? ''] ?? 0);
  }
  return match[1] === '-' ? -total : total;
}
