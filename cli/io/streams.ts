// Copying between a process's named pipes and our own stdin, stdout and stderr.
//
// The pipes are opened without blocking, whoever is at the other end or not yet, and read and
// written by the event loop: no thread is held, so nothing here can starve the rest.
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** A process's output on its way to where it is read. */
export interface Output {
  /** Resolves at the end of the output, after the sink has taken it. */
  readonly ended: Promise<void>;
  /** Milliseconds since something came. */
  idle(): number;
  stop(): void;
}

export interface Input {
  /** Resolves when the source has ended and all of it is in the pipe, or when stopped. */
  readonly ended: Promise<void>;
  stop(): void;
}

/** Before the process exists: opening for reading alone, a pipe that nobody has written to yet is not at its end. */
export function copyOutput(fifo: string, openSink: () => NodeJS.WritableStream): Output {
  const socket = new Socket({
    fd: openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK),
    readable: true,
    writable: false,
  });
  let last = performance.now();
  socket.on('data', (chunk) => {
    last = performance.now();
    const sink = openSink();
    if (sink.write(chunk)) return;
    socket.pause();
    sink.once('drain', () => socket.resume());
  });
  const ended = new Promise<void>((resolve) => {
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
  });
  return { ended, idle: () => performance.now() - last, stop: () => socket.destroy() };
}

/** `inspect` sees each chunk first; what it returns is sent. */
export function copyInput(
  source: NodeJS.ReadStream,
  fifo: string,
  inspect: (chunk: Buffer) => Buffer = (chunk) => chunk,
): Input {
  // Opened both ways it opens even with nobody at the other end.
  const socket = new Socket({
    fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK),
    readable: false,
    writable: true,
  });
  const onData = (chunk: Buffer): void => {
    if (socket.write(inspect(chunk))) return;
    source.pause();
    socket.once('drain', () => source.resume());
  };
  let finish: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (finish = resolve));
  const onEnd = (): void => void socket.end(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.on('close', () => finish());
  source.on('data', onData);
  source.once('end', onEnd);
  source.once('error', onEnd);
  return {
    ended,
    stop() {
      source.off('data', onData);
      source.off('end', onEnd);
      source.pause();
      socket.destroy();
    },
  };
}
