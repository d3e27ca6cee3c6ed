// Lists: a table for people, names alone with -q, JSON for programs.
import { flag, type Values } from '../args/flags.ts';
import type { Context } from '../command.ts';
import { format, jsonText, plain } from './json.ts';
import { table, type RowEnds, type TableStyle } from './table.ts';

export const listFlags = {
  quiet: flag.switch({ alias: 'q', help: 'print only the names' }),
  format,
};

export interface Listing<T> extends RowEnds {
  readonly items: readonly T[];
  readonly name: (item: T) => string;
  readonly header: readonly string[];
  readonly row: (item: T) => readonly string[];
  readonly style: TableStyle;
  /** What JSON shows of an item; the item itself when left out. */
  readonly json?: (item: T) => unknown;
}

export function printList<T>(context: Context, flags: Values<typeof listFlags>, listing: Listing<T>): void {
  const { items } = listing;
  if (flags.format === 'json') {
    const shown = flags.quiet ? items.map(listing.name) : items.map((item) => plain(listing.json?.(item) ?? item));
    context.print(jsonText(shown));
  } else if (flags.quiet) {
    context.print(items.map((item) => `${listing.name(item)}\n`).join(''));
  } else {
    context.print(table(listing.header, items.map(listing.row), listing.style, listing));
  }
}
