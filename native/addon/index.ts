// The addon's typed face: the only way to davit.node. Loaded at the first use, not at import.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Native, NativeOutcome } from './native.d.ts';

let loaded: Native | undefined;

/** Beside the bundled program; from the sources or from dist/, in the checkout's bin/. */
function find(): string | undefined {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const candidates = ['davit.node', '../../bin/davit.node', '../../../bin/davit.node'];
  return candidates.map((candidate) => path.join(here, candidate)).find((file) => existsSync(file));
}

function native(): Native {
  if (loaded !== undefined) return loaded;
  const file = find();
  if (file === undefined) throw new Error('davit.node is not built: run `make native`');
  loaded = createRequire(import.meta.url)(file) as Native;
  return loaded;
}

export interface ProgramToRun {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** The caller's when left out. */
  readonly cwd?: string;
  readonly input?: Uint8Array;
  readonly timeoutMs: number;
}

/**
 * Runs a program to its end, in a session of its own. Costs the event loop no copy of this process,
 * however large it is. Of each output 1 MiB is kept. On timeout its process group is killed.
 */
export function runProgram({ file, args, env, cwd, input, timeoutMs }: ProgramToRun): Promise<NativeOutcome> {
  const words: string[] = [];
  for (const name in env) if (env[name] !== undefined) words.push(`${name}=${env[name]}`);
  return native().runProgram(
    file,
    [path.basename(file), ...args],
    words,
    cwd ?? '',
    input ?? new Uint8Array(),
    timeoutMs,
  );
}
