// Writing much to a stream without holding it all in memory.
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Resolves when all is handed over and flushed to where the stream leads. */
export async function writeAll(stream: Writable, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  await new Promise<void>((resolve, reject) => {
    stream.write('', (error) => (error ? reject(error) : resolve()));
  });
}
