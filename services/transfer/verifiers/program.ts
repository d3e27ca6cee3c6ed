// One program that is asked about an image: it has a process group of its own, which is killed when the
// program has ended, its time is over, or nobody wants to know any more.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { Failure } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';

export interface VerifierProgram {
  readonly file: string;
  readonly args: readonly string[];
  /** For its standard input. */
  readonly input: string;
  /** Milliseconds. */
  readonly timeout: number;
  readonly log: Logger;
}

export interface Answer {
  readonly code: number;
  /** One line of what it wrote to its standard output. */
  readonly reason: string;
}

/** Bytes of either output that are kept: a status travels in a header. */
const MOST_OUTPUT = 4 * 1024;
/** How long outputs may stay open after the program's end, in milliseconds. */
const OUTPUT_GRACE = 1000;

/** Throws `deadline exceeded`, `failed precondition` when it cannot be run, the signal's reason. */
export async function runVerifier(program: VerifierProgram, signal: AbortSignal): Promise<Answer> {
  const { file, args, input, timeout, log } = program;
  signal.throwIfAborted();
  const child = spawn(file, args, { detached: true, stdio: 'pipe', env: process.env });
  const late = AbortSignal.timeout(timeout);
  const end = (): void => killGroup(child);
  for (const each of [late, signal]) each.addEventListener('abort', end, { once: true });
  // A program need not read what it is told.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const said = collect(child.stdout);
  const complained = collect(child.stderr);
  try {
    const { code, killedBy } = await ended(child);
    signal.throwIfAborted();
    if (late.aborted) {
      throw new Failure(
        'deadline exceeded',
        `image verifier ${file} did not end within ${timeout} ms and was killed: deadline exceeded`,
      );
    }
    if (code === null) {
      throw new Failure('unknown', `image verifier ${file} was ended by ${killedBy ?? 'a signal'}: unknown`);
    }
    if (log.debugEnabled) log.debug('image verifier', { verifier: file, code, stderr: complained() });
    return { code, reason: said() };
  } finally {
    for (const each of [late, signal]) each.removeEventListener('abort', end);
    killGroup(child);
  }
}

/** Resolves when the program has ended and its outputs are read, or kept open by somebody else. */
function ended(child: ChildProcessWithoutNullStreams) {
  return new Promise<{ code: number | null; killedBy: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new Failure(
          'failed precondition',
          `image verifier ${child.spawnfile} cannot be run: ${cause.message}; it must be executable: failed precondition`,
          { cause },
        ),
      ),
    );
    child.once('exit', (code, killedBy) => {
      const done = (): void => {
        clearTimeout(timer);
        for (const stream of [child.stdout, child.stderr]) stream.destroy();
        resolve({ code, killedBy });
      };
      const timer = setTimeout(done, OUTPUT_GRACE);
      child.once('close', done);
    });
  });
}

/** Reads to the end and keeps the beginning; gives it as one line. */
function collect(stream: NodeJS.ReadableStream): () => string {
  const kept: Buffer[] = [];
  let size = 0;
  stream.on('data', (piece: Buffer) => {
    if (size < MOST_OUTPUT) kept.push(piece.subarray(0, MOST_OUTPUT - size));
    size += piece.length;
  });
  return () => {
    const line = Buffer.concat(kept)
      .toString()
      .replace(/[\p{Cc}\s]+/gu, ' ')
      .trim();
    return size > MOST_OUTPUT ? `${line}(stdout truncated)` : line;
  };
}

function killGroup({ pid }: ChildProcessWithoutNullStreams): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
