// Our own stdout and stderr. Their streams are made when the first byte needs them: making one takes
// longer than most of what is printed.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

const EXIT_BROKEN_PIPE = 141;

let gone = exitBrokenPipe;
let opened: NodeJS.WriteStream | undefined;

/** The stream of stdout. When nobody reads it any more, what whenOutputGone was given happens. */
export function stdout(): NodeJS.WriteStream {
  if (opened === undefined) {
    opened = process.stdout;
    opened.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? gone() : process.exit(1)));
  }
  return opened;
}

/** In place of ending the program. The function returned undoes it. */
export function whenOutputGone(action: () => void): () => void {
  gone = action;
  return () => (gone = exitBrokenPipe);
}

/** Writes text at once. */
export function print(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(fd, bytes, written);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') gone();
    else if (code !== 'EAGAIN') throw error;
    // Somebody has made the pipe one that does not block: the stream knows how to wait.
    else (fd === 1 ? stdout() : process.stderr).write(bytes.subarray(written));
  }
}

/** Resolves when all is handed over and flushed to where the stream leads. */
export async function writeAll(stream: Writable, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  await new Promise<void>((resolve, reject) => {
    stream.write('', (error) => (error ? reject(error) : resolve()));
  });
}

function exitBrokenPipe(): void {
  process.exit(EXIT_BROKEN_PIPE);
}
