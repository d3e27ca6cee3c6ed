// The client's side of a task's stdio: FIFOs, read and written as containerd's clients do.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** One output FIFO: what was read so far, and when the other side closed it. */
export interface Output {
  readonly text: string;
  /** Resolves at the end of the output. */
  readonly ended: Promise<void>;
  /** Resolves when the text matches; rejects after `timeout` milliseconds. */
  waitFor(pattern: RegExp, timeout?: number): Promise<void>;
  close(): void;
}

export interface Stdio {
  readonly paths: StdioPaths;
  readonly directory: string;
  openOutput(which: 'stdout' | 'stderr'): Output;
  /** The task must be created: a FIFO without a reader cannot be opened for writing. */
  openInput(): Input;
  /** Removes the FIFOs. */
  remove(): void;
}

export interface Input {
  write(text: string): void;
  close(): void;
}

/** Fresh FIFOs; a terminal has no stderr. */
export function createStdio(options: { readonly terminal?: boolean; readonly stdin?: boolean } = {}): Stdio {
  const directory = mkdtempSync('/tmp/davit-fifo-');
  const paths: StdioPaths = {
    stdin: options.stdin === true ? path.join(directory, 'stdin') : '',
    stdout: path.join(directory, 'stdout'),
    stderr: options.terminal === true ? '' : path.join(directory, 'stderr'),
  };
  execFileSync('mkfifo', ['-m', '600', ...Object.values(paths).filter((name) => name !== '')]);
  return {
    paths,
    directory,
    openOutput: (which) => openOutput(paths[which]),
    openInput: () => openInput(paths.stdin),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function openOutput(file: string): Output {
  // Opening must not wait for the other side.
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd: descriptor, readable: true, writable: false });
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => (text += chunk));
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.once('error', () => resolve());
  });
  return {
    get text() {
      return text;
    },
    ended,
    async waitFor(pattern, timeout = 10_000) {
      const deadline = performance.now() + timeout;
      while (!pattern.test(text)) {
        if (performance.now() > deadline)
          throw new Error(`no ${String(pattern)} within ${timeout} ms in: ${text.slice(-2000)}`);
        await sleep(10);
      }
    },
    close: () => socket.destroy(),
  };
}

function openInput(file: string): Input {
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
  return { write: (text) => void writeSync(descriptor, text), close: () => closeSync(descriptor) };
}
