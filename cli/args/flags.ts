// Flags: what a command declares, and from it the types of the values, the help and the docs.
import { parseDuration } from './duration.ts';
import { parseSize } from './size.ts';

export interface Flag<T> {
  readonly help: string;
  /** Further names: `q` is written -q. */
  readonly alias: readonly string[];
  /** Shown in the help for what the flag takes; undefined for a switch. */
  readonly takes: string | undefined;
  /** Environment variables that give the value when the flag is not written, the first that is set. */
  readonly env: readonly string[];
  readonly initial: T;
  /** The value after one more occurrence with `text`. Throws an Error that says what is expected. */
  accept(text: string, before: T): T;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type Values<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

interface Common {
  readonly help: string;
  readonly alias?: string | readonly string[];
  readonly env?: readonly string[];
  readonly takes?: string;
}

function make<T>(
  options: Common,
  takes: string | undefined,
  initial: T,
  accept: (text: string, before: T) => T,
): Flag<T> {
  const alias = options.alias === undefined ? [] : typeof options.alias === 'string' ? [options.alias] : options.alias;
  return { help: options.help, alias, takes: options.takes ?? takes, env: options.env ?? [], initial, accept };
}

export const flag = {
  /** `--name`, `--name=false`. */
  switch: (options: Common): Flag<boolean> => make(options, undefined, false, parseBoolean),

  /** On unless `--name=false` is given. */
  switchOn: (options: Common): Flag<boolean> => make(options, undefined, true, parseBoolean),

  /** Undefined when not given: an empty string is a value. */
  string: (options: Common): Flag<string | undefined> =>
    make(options, 'value', undefined as string | undefined, (text) => text),

  stringOr: (initial: string, options: Common): Flag<string> => make(options, 'value', initial, (text) => text),

  /** May be given many times. */
  list: (options: Common): Flag<readonly string[]> =>
    make(options, 'value', [] as readonly string[], (text, before) => [...before, text]),

  integer: (options: Common): Flag<number | undefined> =>
    make(options, 'number', undefined as number | undefined, parseInteger),

  number: (options: Common): Flag<number | undefined> =>
    make(options, 'number', undefined as number | undefined, parseNumber),

  /** Bytes: `1048576`, `100m`, `1.5GiB`. */
  size: (options: Common): Flag<bigint | undefined> =>
    make(options, 'bytes', undefined as bigint | undefined, parseSize),

  /** Milliseconds: `10s`, `1m30s`, `24h`. */
  duration: (initial: number, options: Common): Flag<number> => make(options, 'duration', initial, parseDuration),

  choice: <const T extends string>(choices: readonly T[], initial: T, options: Common): Flag<T> =>
    make(options, choices.join('|'), initial, (text) => {
      const found = choices.find((choice) => choice === text);
      if (found === undefined) throw new Error(`"${text}" is not one of ${choices.join(', ')}`);
      return found;
    }),
};

/** The words that Go's strconv.ParseBool takes. */
function parseBoolean(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw new Error(`"${text}" is neither true nor false`);
}

function parseInteger(text: string): number {
  const value = /^[+-]?(\d+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw new Error(`"${text}" is not a whole number`);
  return value;
}

function parseNumber(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!Number.isFinite(value)) throw new Error(`"${text}" is not a number`);
  return value;
}
