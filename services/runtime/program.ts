// Runs a program to its end: input in, output out, bounded in time and in what is kept of it.
import { runProgram as runNative } from '../../native/addon/index.ts';
import { Failure } from '../lib/errors.ts';

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env: NodeJS.ProcessEnv;
  readonly input?: Uint8Array;
  /** The program is killed after this time. */
  readonly timeoutMs: number;
}

export interface Outcome {
  /** Exit code, when no signal ended it. */
  readonly code: number;
  /** Number of the signal that ended it, or 0. */
  readonly signal: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export type RunProgram = (program: Program) => Promise<Outcome>;

/** `deadline exceeded` when it had to be killed, `failed precondition` when it cannot be started. */
export const runProgram: RunProgram = async (program) => {
  const outcome = await runNative(program).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure('failed precondition', `${reason}: failed precondition`, { cause: error });
  });
  if (!outcome.timedOut) return outcome;
  throw new Failure(
    'deadline exceeded',
    `"${program.file}" did not end within ${program.timeoutMs} ms and was killed: deadline exceeded`,
  );
};
