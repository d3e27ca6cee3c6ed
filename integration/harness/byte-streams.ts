// Bytes over the Streaming service, as containerd's clients send and take them.
import { packMessage, unpackMessage } from '../../client/any.ts';
import type { Stream } from '../../client/streams.ts';

const TYPES = 'containerd.types.transfer';
const WINDOW = 64 * 1024;

/** Sends as much as the daemon allows at a time, then ends the stream. */
export async function sendAll({ call }: Stream, bytes: Buffer): Promise<void> {
  let allowed = 0;
  for (let at = 0; at < bytes.length;) {
    while (allowed <= 0) {
      const message = await call.receive();
      if (message === undefined) return;
      allowed += (unpackMessage(message) as { update: number }).update;
    }
    const data = bytes.subarray(at, at + Math.min(WINDOW / 2, allowed));
    await call.send(packMessage(`${TYPES}.Data`, { data }));
    at += data.length;
    allowed -= data.length;
  }
  call.close();
}

/** Takes all that the daemon sends, a window at a time, until the stream ends or is cancelled. */
export async function receiveAll({ call }: Stream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let window = 0;
  for (;;) {
    if (window < WINDOW) {
      window += WINDOW;
      await call.send(packMessage(`${TYPES}.WindowUpdate`, { update: WINDOW })).catch(() => undefined);
    }
    const message = await call.receive().catch(() => undefined);
    if (message === undefined) return Buffer.concat(pieces);
    const { data } = unpackMessage(message) as { data: Buffer };
    pieces.push(data);
    window -= data.length;
  }
}
