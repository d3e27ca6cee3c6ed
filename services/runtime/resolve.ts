// From the name of a runtime to the program that is its shim.
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import type { Options } from '../../proto/gen/containerd.runc.v1.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { codec } from '../../proto/messages.ts';
import { Failure } from '../lib/errors.ts';

/** Names that clients send for runc; they mean our shim unless the configuration says otherwise. */
const RUNC_NAMES = new Set(['io.containerd.runc.v2', 'io.containerd.runc.v1', 'io.containerd.runtime.v1.linux']);
const OWN_NAME = 'io.containerd.davit.v1';

/** Our shim runs containers itself. It stands for runc; for any other program there is runc's shim. */
const OWN_PROGRAM = 'containerd-shim-davit-v1';
const OWN_BINARIES = new Set(['', 'runc', 'davit-oci']);
const RUNC_SHIM = 'containerd-shim-runc-v2';

const OPTIONS = 'containerd.runc.v1.Options';
const runcOptions = codec<Options>(OPTIONS);

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
  /**
   * `options` may name the OCI runtime that the shim is to use. Throws `invalid argument` for a name that
   * cannot be one, `failed precondition` when there is no such program.
   */
  resolve(runtime: string, options: Any | null): Shim;
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
    resolve(runtime, options) {
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
      if (runtime === OWN_NAME) return standIn(runtime);
      if (!RUNC_NAMES.has(runtime)) return shim(search(runtime, program));
      const binary = isOwn(settings.shim) ? binaryName(options) : '';
      return OWN_BINARIES.has(binary) ? standIn(runtime) : shim(search(`${runtime} with ${binary}`, RUNC_SHIM));
    },
  };
}

/** `io.containerd.runc.v2` -> `containerd-shim-runc-v2`: the last two parts. */
function programName(runtime: string): string | undefined {
  const parts = runtime.split('.');
  if (runtime.includes('/') || parts.length < 2 || parts[0] === '') return undefined;
  return `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`;
}

function binaryName(options: Any | null): string {
  return options?.type_url === OPTIONS ? runcOptions.decode(options.value).binary_name : '';
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
