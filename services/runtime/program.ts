// Runs a program to its end: input in, output out, bounded in time and in what is kept of it.
import { spawn, type ChildProcess } from 'node:child_process';
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
  /** Exit code; undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export type RunProgram = (program: Program) => Promise<Outcome>;

/** Kept of each output stream; the rest is read and dropped. */
const MAX_OUTPUT = 1 << 20;

/** A child that the program left behind may hold the output open: it is not waited for longer than this. */
const OUTPUT_GRACE = 1000;

/** `deadline exceeded` when it had to be killed, `failed precondition` when it cannot be started. */
export const runProgram: RunProgram = (program) =>
  new Promise((resolve, reject) => {
    const child = spawn(program.file, program.args, {
      ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
      env: program.env,
      detached: true,
      stdio: [program.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    let timedOut = false;
    const deadline = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, program.timeoutMs);
    let grace: NodeJS.Timeout | undefined;
    const stdout = keep(child.stdout);
    const stderr = keep(child.stderr);
    child.on('error', (error) => {
      clearTimeout(deadline);
      reject(
        new Failure('failed precondition', `run "${program.file}": ${error.message}: failed precondition`, {
          cause: error,
        }),
      );
    });
    child.on('exit', () => {
      clearTimeout(deadline);
      grace = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, OUTPUT_GRACE);
    });
    child.on('close', (code, signal) => {
      clearTimeout(grace);
      if (timedOut) {
        reject(
          new Failure(
            'deadline exceeded',
            `"${program.file}" did not end within ${program.timeoutMs} ms and was killed: deadline exceeded`,
          ),
        );
      } else {
        resolve({ code: code ?? undefined, signal: signal ?? undefined, stdout: stdout(), stderr: stderr() });
      }
    });
    // A program that does not read its input is no failure of ours.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(program.input);
  });

/** With what it started itself; it leads a group of its own. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function keep(stream: NodeJS.ReadableStream | null): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size < MAX_OUTPUT) chunks.push(chunk.subarray(0, MAX_OUTPUT - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks);
}
