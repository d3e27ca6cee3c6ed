// Command-line arguments with the rules of Go's flag package, as ctr has them.
//
// `-name` and `--name` are the same; values follow as `--name value` or `--name=value`; `--` ends
// the flags. Beyond that, short switches may be joined (`-dt`).
import type { Flag, Flags, Values } from './flags.ts';

/** The arguments are wrong: the person wants to see the usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Parsed<F extends Flags> {
  readonly values: Values<F>;
  /** What is not a flag. */
  readonly rest: readonly string[];
}

export interface ParseOptions {
  /** The first argument that is not a flag ends the flags: what follows belongs to somebody else. */
  readonly stopAtFirst: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Throws UsageError. */
export function parse<F extends Flags>(flags: F, argv: readonly string[], options: ParseOptions): Parsed<F> {
  const names = byName(flags);
  const values = new Map<string, unknown>();
  const rest: string[] = [];

  const take = (key: string, written: string, text: string): void => {
    const flag = flags[key] as Flag<unknown>;
    try {
      values.set(key, flag.accept(text, values.has(key) ? values.get(key) : flag.initial));
    } catch (error) {
      throw new UsageError(`invalid value for flag ${written}: ${(error as Error).message}`);
    }
  };

  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] as string;
    if (argument === '--') {
      rest.push(...argv.slice(index + 1));
      break;
    }
    if (argument === '-' || !argument.startsWith('-')) {
      if (options.stopAtFirst) {
        rest.push(...argv.slice(index));
        break;
      }
      rest.push(argument);
      continue;
    }
    const [written, inline] = split(argument);
    const key = names.get(written.replace(/^--?/, ''));
    if (key === undefined) {
      const joined = inline === undefined ? joinedSwitches(written, names, flags) : undefined;
      if (joined === undefined) throw new UsageError(`flag provided but not defined: ${written}`);
      for (const each of joined) take(each, written, 'true');
    } else if (inline !== undefined) {
      take(key, written, inline);
    } else if (flags[key]?.takes === undefined) {
      take(key, written, 'true');
    } else {
      const next = argv[++index];
      if (next === undefined) throw new UsageError(`flag needs an argument: ${written}`);
      take(key, written, next);
    }
  }

  for (const [key, flag] of Object.entries(flags)) {
    if (values.has(key)) continue;
    const variable = flag.env.find((name) => options.env[name]);
    if (variable === undefined) values.set(key, flag.initial);
    else take(key, `$${variable}`, options.env[variable] as string);
  }
  return { values: Object.fromEntries(values) as Values<F>, rest };
}

function byName(flags: Flags): Map<string, string> {
  const names = new Map<string, string>();
  for (const [key, flag] of Object.entries(flags)) {
    for (const name of [key, ...flag.alias]) names.set(name, key);
  }
  return names;
}

function split(argument: string): [string, string | undefined] {
  const equals = argument.indexOf('=');
  return equals < 0 ? [argument, undefined] : [argument.slice(0, equals), argument.slice(equals + 1)];
}

/** `-dt` as -d -t, when all of them are switches. */
function joinedSwitches(written: string, names: Map<string, string>, flags: Flags): string[] | undefined {
  if (written.startsWith('--')) return undefined;
  const keys = Array.from(written.slice(1), (letter) => names.get(letter));
  return keys.every((key) => key !== undefined && flags[key]?.takes === undefined) ? (keys as string[]) : undefined;
}
