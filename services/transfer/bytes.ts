// Bytes over a client's stream: in pieces, and never more than the other side has allowed.
import { codec } from '../../proto/messages.ts';
import type { Data, WindowUpdate } from '../../proto/gen/containerd.types.transfer.ts';
import { Failure, invalidArgument } from '../lib/errors.ts';
import type { Stream } from '../streaming/api.ts';

const data = codec<Data>('containerd.types.transfer.Data');
const update = codec<WindowUpdate>('containerd.types.transfer.WindowUpdate');

/** What the client may send before we have taken any of it. */
const WINDOW = 1024 * 1024;
/** Of one message; containerd's clients expect no larger ones. */
const PIECE = 32 * 1024;

/** What the client sends, until it ends its side. Throws `canceled` when it goes away. */
export async function* receiveBytes(stream: Stream): AsyncGenerator<Buffer> {
  let allowed = 0;
  for (;;) {
    if (allowed <= WINDOW / 2) {
      const more = WINDOW - allowed;
      allowed = WINDOW;
      // Whether the client takes it shows in what it sends.
      void allow(stream, more);
    }
    const message = await stream.receive();
    if (message === undefined) return;
    if (message.type_url !== data.name) throw invalidArgument(`${message.type_url} in a stream of bytes`);
    const { data: bytes } = data.decode(message.value);
    allowed -= bytes.length;
    // Small clients send by an old window; ten times ours is no mistake.
    if (allowed < -10 * WINDOW)
      throw new Failure('resource exhausted', 'stream of bytes: more than allowed: resource exhausted');
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

async function allow(stream: Stream, more: number): Promise<void> {
  try {
    await stream.send({ type_url: update.name, value: update.encode({ update: more }) });
  } catch {
    // Closed: nothing is expected any more.
  }
}

/** Sends all of `bytes`, as fast as the client allows, and ends the stream. */
export async function sendBytes(stream: Stream, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  let allowed = 0;
  for await (const chunk of bytes) {
    for (let from = 0; from < chunk.length;) {
      while (allowed <= 0) allowed += await nextUpdate(stream);
      const piece = chunk.subarray(from, from + Math.min(PIECE, allowed));
      await stream.send({ type_url: data.name, value: data.encode({ data: piece }) });
      from += piece.length;
      allowed -= piece.length;
    }
  }
  stream.close();
}

async function nextUpdate(stream: Stream): Promise<number> {
  const message = await stream.receive();
  if (message === undefined) throw new Failure('canceled', 'the client takes no more of the stream: canceled');
  if (message.type_url !== update.name) throw invalidArgument(`${message.type_url} in place of a window update`);
  return update.decode(message.value).update;
}
