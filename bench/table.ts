// The table that `make bench` prints.
import type { Pair } from './measure.ts';

export interface Row {
  readonly what: string;
  readonly unit: 'ms' | 'per s' | 'KiB' | 's';
  readonly pair: Pair;
  /** What docs/architecture.md allows, as davit / reference; or an absolute limit for davit alone. */
  readonly budget: string;
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2));

export function formatTable(rows: readonly Row[], reference: string): string {
  const lines = rows.map(({ what, unit, pair, budget }) => [
    what,
    `${digits(pair.reference)} ${unit}`,
    `${digits(pair.davit)} ${unit}`,
    (pair.davit / pair.reference).toFixed(2),
    budget,
  ]);
  const table = [['', reference, 'davit', 'ratio', 'budget'], ...lines];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((line) => (line[column] ?? '').length)));
  return table
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}
