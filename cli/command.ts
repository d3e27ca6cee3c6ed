// What a command of davit is, and what it gets to work with.
import type { Client } from '../client/connect.ts';
import type { Flags, Values } from './args/flags.ts';

export interface Context {
  /** The client of this invocation: address, namespace, --timeout. Loads gRPC at the first call. */
  client(): Promise<Client>;
  readonly address: string;
  readonly namespace: string;
  readonly debug: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text to stdout. */
  print(text: string): void;
  /** A note for the person, to stderr. */
  note(text: string): void;
}

export interface Command<F extends Flags = Flags> {
  /** What follows the command's name in its usage: `[flags] <ref> [<ref>, ...]`. */
  readonly usage: string;
  readonly description?: string;
  readonly flags: F;
  /** The first argument that is not a flag ends the flags. */
  readonly stopAtFirst?: boolean;
  readonly examples: readonly string[];
  /** Resolves with the exit status, 0 when it gives none. */
  run(context: Context, values: Values<F>, args: readonly string[]): Promise<number | void>;
}

/** Infers the types of `values` from `flags`. */
export function define<const F extends Flags>(definition: Command<F>): Command {
  return definition;
}

export interface Verb {
  readonly kind: 'verb';
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

export interface Noun {
  readonly kind: 'noun';
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Flags between the noun and its verb, given to every verb's parser too. */
  readonly flags: Flags;
  readonly verbs: Readonly<Record<string, Verb | Noun>>;
  /** The verb that is meant where none is named; the noun's help when left out. */
  readonly usual?: string;
}

/** Throws UsageError-worthy text when an argument that must be there is not. */
export function required(value: string | undefined, what: string): string {
  if (value === undefined || value === '') throw new MissingArgument(`${what} must be provided`);
  return value;
}

export class MissingArgument extends Error {
  override readonly name = 'MissingArgument';
}
