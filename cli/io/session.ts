// A process in the foreground: its stdio is ours, our signals are its, and we end when it does.
import type { Client } from '../../client/connect.ts';
import { isNotFound, isUnavailable } from '../../client/errors.ts';
import type { StdioPaths } from './fifos.ts';
import { stdout, whenOutputGone } from './output.ts';
import { onSignals } from './signals.ts';
import { copyInput, copyOutput, type Input, type Output } from './streams.ts';
import { detachKeys, onResize, rawTerminal, terminalSize, type Size } from './terminal.ts';

/** A child that keeps the output open after its process's end gets this long to say something. */
const QUIET_MS = 1000;
/** A daemon that restarts is back within this time. */
const RECONNECT_MS = 60_000;
const RECONNECT_PAUSE_MS = 200;
const EXIT_BROKEN_PIPE = 141;

export interface SessionOptions {
  readonly container: string;
  /** '' for the container's first process. */
  readonly execId: string;
  readonly terminal: boolean;
  readonly paths: StdioPaths;
}

export type Outcome =
  | { readonly kind: 'exited'; readonly status: number }
  /** By keys: the process goes on. */
  | { readonly kind: 'detached' }
  /** Nobody reads our output any more. */
  | { readonly kind: 'output gone'; readonly status: number };

/** Opened before the process is created, so that nothing of its output is missed. */
export interface Session {
  /** Once the process is created and before it is started: it may exit at any moment from now on. */
  watch(): void;
  /** Runs until the process has exited and its output is written. Restores the terminal. */
  finish(): Promise<Outcome>;
  /** Gives up, also before the process was created. May be called at any time. */
  close(): void;
}

export function openSession(client: Client, options: SessionOptions): Session {
  const { container, execId, terminal, paths } = options;
  const target = { container_id: container, exec_id: execId };
  const outputs: Output[] = [];
  const cleanups: (() => void)[] = [];
  let settle: (outcome: Outcome) => void = () => undefined;
  const interrupted = new Promise<Outcome>((resolve) => (settle = resolve));
  let exit: Promise<number> | undefined;

  if (paths.stdout !== '') outputs.push(copyOutput(paths.stdout, stdout));
  if (paths.stderr !== '') outputs.push(copyOutput(paths.stderr, () => process.stderr));
  cleanups.push(whenOutputGone(() => settle({ kind: 'output gone', status: EXIT_BROKEN_PIPE })));

  const resize = ({ width, height }: Size): void => {
    client.tasks.ResizePty({ ...target, width, height }).catch(() => undefined);
  };
  const forward = (signal: number): void => {
    client.tasks.Kill({ ...target, signal }).catch((error: unknown) => {
      if (!isNotFound(error)) process.stderr.write(`davit: signal ${signal} not delivered: ${String(error)}\n`);
    });
  };
  const closeStdin = (input: Input): void => {
    void input.ended.then(() => client.tasks.CloseIO({ ...target, stdin: true })).catch(() => undefined);
  };

  return {
    watch() {
      exit = waitForExit(client, options);
      exit.catch(() => undefined);
      cleanups.push(onSignals(forward));
      if (terminal) {
        const raw = rawTerminal();
        cleanups.push(() => raw.restore(), onResize(resize));
        const size = terminalSize();
        if (size !== undefined) resize(size);
      }
      if (paths.stdin !== '') {
        const inspect = terminal ? detachKeys(() => settle({ kind: 'detached' })) : undefined;
        const input = copyInput(process.stdin, paths.stdin, inspect);
        cleanups.push(() => input.stop());
        closeStdin(input);
      }
    },
    async finish() {
      try {
        if (exit === undefined) throw new Error('session: not watched');
        const exited = exit.then(async (status): Promise<Outcome> => {
          await Promise.all(outputs.map(drained));
          return { kind: 'exited', status };
        });
        return await Promise.race([exited, interrupted]);
      } finally {
        this.close();
      }
    },
    close() {
      for (const output of outputs) output.stop();
      for (const cleanup of cleanups.splice(0)) cleanup();
    },
  };
}

/** The exit status, also over a restart of the daemon. */
async function waitForExit(client: Client, { container, execId }: SessionOptions): Promise<number> {
  let lost: number | undefined;
  for (;;) {
    try {
      const { exit_status } = await client.tasks.Wait({ container_id: container, exec_id: execId });
      return exit_status;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      lost ??= Date.now();
      if (Date.now() - lost > RECONNECT_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE_MS));
    }
  }
}

/** Resolves at the output's end; when something else holds it open, once it is quiet. */
async function drained(output: Output): Promise<void> {
  const started = performance.now();
  const look = async (): Promise<void> => {
    const pause = new Promise<'open'>((resolve) => setTimeout(resolve, QUIET_MS / 10, 'open'));
    const state = await Promise.race([output.ended.then(() => 'ended' as const), pause]);
    if (state === 'open' && Math.min(output.idle(), performance.now() - started) < QUIET_MS) await look();
  };
  await look();
}
