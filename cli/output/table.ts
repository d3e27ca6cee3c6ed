// Text tables with elastic columns, as Go's text/tabwriter lays them out for ctr.
//
// A cell is text that ends with a tab. Neighbouring lines that have a cell in a column form a block
// of one width; text after a line's last tab is not a cell and has no width.

export interface TableStyle {
  /** Least width of a cell, padding included. */
  readonly minWidth: number;
  readonly padding: number;
  /** Pads with tabs to multiples of 8, as ctr does in its content tables. */
  readonly tabs?: boolean;
}

/** Most of ctr's tables. */
export const NARROW: TableStyle = { minWidth: 1, padding: 1 };
/** ctr's tables of content. */
export const TABBED: TableStyle = { minWidth: 1, padding: 1, tabs: true };
/** ctr's tables of containers and tasks. */
export const WIDE: TableStyle = { minWidth: 4, padding: 4 };

const TAB_WIDTH = 8;

export interface RowEnds {
  /** The header, or each row, ends with a tab: its last cell is padded too. Default true. */
  readonly headerPadded?: boolean;
  readonly lastPadded?: boolean;
}

export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  style: TableStyle,
  ends: RowEnds = {},
): string {
  const line = (cells: readonly string[], padded: boolean | undefined): string =>
    cells.join('\t') + (padded === false ? '\n' : '\t\n');
  return align(line(header, ends.headerPadded) + rows.map((cells) => line(cells, ends.lastPadded)).join(''), style);
}

/** Aligns text whose cells end with tabs. */
export function align(text: string, style: TableStyle): string {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const widths: number[][] = lines.map(() => []);
  const columns = Math.max(...lines.map((cells) => cells.length - 1));
  for (let column = 0; column < columns; column++) {
    for (let first = 0; first < lines.length; first++) {
      if (!hasCell(lines[first], column)) continue;
      let last = first;
      let widest = 0;
      while (last < lines.length && hasCell(lines[last], column)) {
        widest = Math.max(widest, width(lines[last]?.[column] ?? ''));
        last++;
      }
      for (let line = first; line < last; line++) (widths[line] as number[])[column] = cellWidth(widest, style);
      first = last;
    }
  }
  return lines
    .map((cells, line) => cells.map((cell, column) => pad(cell, widths[line]?.[column], style)).join(''))
    .join('\n');
}

function hasCell(cells: readonly string[] | undefined, column: number): boolean {
  return cells !== undefined && column < cells.length - 1;
}

function width(text: string): number {
  return Array.from(text).length;
}

function cellWidth(widest: number, style: TableStyle): number {
  const least = Math.max(widest + style.padding, style.minWidth);
  return style.tabs ? Math.ceil(least / TAB_WIDTH) * TAB_WIDTH : least;
}

/** The last piece of a line has no width of its own. */
function pad(cell: string, to: number | undefined, style: TableStyle): string {
  if (to === undefined) return cell;
  const missing = to - width(cell);
  return cell + (style.tabs ? '\t'.repeat(Math.ceil(missing / TAB_WIDTH)) : ' '.repeat(missing));
}
