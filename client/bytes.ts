// Bytes over a stream beside a call: in pieces, and never more than the other side has allowed.
import type { Data, WindowUpdate } from '../proto/gen/containerd.types.transfer.ts';
import { packMessage, unpackMessage } from './any.ts';
import { ClientError } from './errors.ts';
import type { Stream } from './streams.ts';

const TYPES = 'containerd.types.transfer';
/** What the daemon may send before we have taken any of it. */
const WINDOW = 1024 * 1024;
/** Of one message. */
const PIECE = 32 * 1024;

/** What the daemon sends, until it ends the stream. */
export async function* receiveBytes({ call }: Stream): AsyncGenerator<Buffer> {
  let allowed = 0;
  for (;;) {
    if (allowed <= WINDOW / 2) {
      await call.send(packMessage(`${TYPES}.WindowUpdate`, { update: WINDOW - allowed }));
      allowed = WINDOW;
    }
    const message = await call.receive();
    if (message === undefined) return;
    const { data } = unpackMessage(message) as Data;
    allowed -= data.length;
    yield Buffer.from(data.buffer, data.byteOffset, data.length);
  }
}

/** Sends all of `bytes`, as fast as the daemon allows, and ends our side. */
export async function sendBytes({ call }: Stream, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  let allowed = 0;
  for await (const chunk of bytes) {
    for (let from = 0; from < chunk.length;) {
      while (allowed <= 0) {
        const message = await call.receive();
        if (message === undefined) throw new ClientError('canceled', 'the daemon takes no more of the stream');
        allowed += (unpackMessage(message) as WindowUpdate).update;
      }
      const data = chunk.subarray(from, from + Math.min(PIECE, allowed));
      await call.send(packMessage(`${TYPES}.Data`, { data }));
      from += data.length;
      allowed -= data.length;
    }
  }
  call.close();
}
