// From the name of a runtime to the program that is its shim.
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../lib/errors.ts';

/** Names that clients send for runc; they mean our shim unless the configuration says otherwise. */
const RUNC_NAMES = new Set(['io.containerd.runc.v2', 'io.containerd.runc.v1', 'io.containerd.runtime.v1.linux']);
const OWN_NAME = 'io.containerd.davit.v1';

const OWN_PROGRAM = 'containerd-shim-davit-v1';

export interface ResolveSettings {
  /** What the names of runc and our own name mean: a path, or the name of a program. */
  readonly shim: string;
  /** Folders searched in order: those of PATH, then the daemon's own. */
  readonly folders: readonly string[];
}

export interface Shim {
  readonly path: string;
  /** Ours, and not another's: it takes less to start and to remove. */
  readonly own: boolean;
}

export interface Resolver {
  /** Throws `invalid argument` for a name that cannot be one, `failed precondition` when there is no such program. */
  resolve(runtime: string): Shim;
}

/** Programs that were found are remembered while they are where they were. */
export function createResolver(settings: ResolveSettings): Resolver {
  const found = new Map<string, string>();

  const search = (runtime: string, program: string): string => {
    const known = found.get(program);
    if (known !== undefined && isProgram(known)) return known;
    for (const folder of settings.folders) {
      const candidate = path.join(folder, program);
      if (!isProgram(candidate)) continue;
      found.set(program, candidate);
      return candidate;
    }
    throw new Failure(
      'failed precondition',
      `runtime "${runtime}" binary not installed "${program}" (searched ${settings.folders.join(':')}): failed precondition`,
    );
  };

  const shim = (file: string): Shim => ({ path: file, own: isOwn(file) });

  const standIn = (runtime: string): Shim =>
    shim(path.isAbsolute(settings.shim) ? settings.shim : search(runtime, settings.shim));

  return {
    resolve(runtime) {
      if (runtime === '') throw new Failure('invalid argument', 'no runtime name: invalid argument');
      if (path.isAbsolute(runtime)) {
        if (isProgram(runtime)) return shim(runtime);
        throw new Failure('failed precondition', `runtime "${runtime}": no such program: failed precondition`);
      }
      const program = programName(runtime);
      if (program === undefined) {
        throw new Failure(
          'invalid argument',
          `invalid runtime name ${runtime}, correct runtime name should be either format like \`io.containerd.runc.v2\` or a full path to the binary: invalid argument`,
        );
      }
      if (runtime === OWN_NAME || RUNC_NAMES.has(runtime)) return standIn(runtime);
      return shim(search(runtime, program));
    },
  };
}

/** `io.containerd.runc.v2` -> `containerd-shim-runc-v2`: the last two parts. */
function programName(runtime: string): string | undefined {
  const parts = runtime.split('.');
  if (runtime.includes('/') || parts.length < 2 || parts[0] === '') return undefined;
  return `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Whether a program is our shim, by its name. */
export function isOwn(file: string): boolean {
  return path.basename(file) === OWN_PROGRAM;
}
