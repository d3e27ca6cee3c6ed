// Parts of a long command, each with a bar on a terminal, with a line when it is done elsewhere.
import { binarySize } from './units.ts';

export interface Part {
  /** The same for all states of it. */
  readonly key: string;
  readonly label: string;
  /** What is happening, one word or two. */
  readonly event: string;
  readonly done: number;
  /** Undefined where there is no size to speak of. */
  readonly total: number | undefined;
  /** There is no further state. */
  readonly last: boolean;
  /** `done` says how much of `total`. */
  readonly measured: boolean;
}

export interface Bars {
  part(part: Part): void;
  /** A line above the bars, of terminals only. */
  status(text: string): void;
  /** Draws the last state; nothing is drawn afterwards. */
  end(): void;
}

interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const EVERY_MS = 100;
const WIDEST_BAR = 40;
const NARROWEST_BAR = 10;
const LABEL = 20;
const EVENT = 14;

/** What is over within `after` milliseconds is not worth a word. */
export function bars(output: Output, after = 0): Bars {
  const shown = output.isTTY === true ? onTerminal(output) : asLines(output);
  return after > 0 ? fromThenOn(shown, after) : shown;
}

/** From when on the commands say how far they are that say nothing else meanwhile. */
export const LONG_MS = 1000;

function fromThenOn(shown: Bars, after: number): Bars {
  const held = new Map<string, Part>();
  let begun = false;
  const timer = setTimeout(() => {
    begun = true;
    for (const part of held.values()) shown.part(part);
  }, after).unref();
  return {
    part(part) {
      if (begun) shown.part(part);
      else held.set(part.key, part);
    },
    status(text) {
      if (begun) shown.status(text);
    },
    end() {
      clearTimeout(timer);
      shown.end();
    },
  };
}

/** States that last, each once. */
function asLines(output: Output): Bars {
  const said = new Set<string>();
  return {
    part({ label, event, total, last }) {
      const line = `${label}: ${event}${total === undefined ? '' : ` (${binarySize(total)})`}\n`;
      if (!last || said.has(line)) return;
      said.add(line);
      output.write(line);
    },
    status: () => undefined,
    end: () => undefined,
  };
}

function onTerminal(output: Output): Bars {
  const parts = new Map<string, Part>();
  let status = '';
  let drawn: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  const draw = (): void => {
    timer = undefined;
    const width = Math.max(output.columns ?? 80, 40);
    const room = Math.max((output.rows ?? 24) - 3, 3);
    const lines = [...(status === '' ? [] : [status]), ...rows([...parts.values()], room, width)];
    // A terminal that has become narrower shows what was drawn on more lines.
    const above = drawn.reduce((sum, line) => sum + Math.max(Math.ceil(line.length / width), 1), 0);
    drawn = lines.map((line) => line.slice(0, width - 1));
    output.write(`${above > 0 ? `\u001B[${above}A\r\u001B[J` : ''}${drawn.map((line) => `${line}\n`).join('')}`);
  };
  const soon = (): void => {
    timer ??= setTimeout(draw, EVERY_MS);
  };
  return {
    part(part) {
      parts.set(part.key, part);
      soon();
    },
    status(text) {
      status = text;
      soon();
    },
    end() {
      clearTimeout(timer);
      if (parts.size > 0) draw();
    },
  };
}

/** In the order of their coming; when they are too many, those that are done go first. */
function rows(parts: readonly Part[], room: number, width: number): string[] {
  if (parts.length <= room) return parts.map((part) => row(part, width));
  const open = parts.filter(({ last }) => !last);
  const done = parts.length - open.length;
  const shown = open.slice(0, room - 1).map((part) => row(part, width));
  const waiting = open.length - shown.length;
  return [...shown, `${done} of ${parts.length} done${waiting > 0 ? `, ${waiting} more under way` : ''}`];
}

function row({ label, event, done, total, measured }: Part, width: number): string {
  const left = `${label.padEnd(LABEL)} ${event.padEnd(EVENT)}`;
  if (total === undefined) return left.trimEnd();
  if (!measured) return `${left} ${binarySize(total)}`;
  const sizes = `${binarySize(done)} / ${binarySize(total)}`;
  const space = Math.min(width - left.length - sizes.length - 5, WIDEST_BAR);
  if (space < NARROWEST_BAR) return `${left} ${sizes}`;
  const filled = total > 0 ? Math.min(space, Math.floor((space * done) / total)) : 0;
  return `${left} [${'='.repeat(filled).padEnd(space)}] ${sizes}`;
}
