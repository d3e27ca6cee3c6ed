// Durations as Go writes them: `300ms`, `1h30m`, `0`.

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds. Throws an Error for anything else. */
export function parseDuration(text: string): number {
  const body = text.startsWith('-') ? text.slice(1) : text;
  if (body === '0') return 0;
  const parts = [...body.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== body) {
    throw new Error(`"${text}" is not a duration such as 10s or 1h30m`);
  }
  const total = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit ?? ''] ?? 0), 0);
  return text.startsWith('-') ? -total : total;
}
