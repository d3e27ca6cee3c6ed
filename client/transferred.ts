// Bytes that the Transfer service sends over a stream.
import { packMessage } from './any.ts';
import { receiveBytes } from './bytes.ts';
import type { Client } from './connect.ts';
import { openStream } from './streams.ts';

/** What the daemon makes of `source` as this media type. Leaving the loop ends the transfer. */
export async function* transferredBytes(
  client: Client,
  source: ReturnType<typeof packMessage>,
  mediaType: string,
): AsyncGenerator<Buffer> {
  const stream = await openStream(client, 'bytes');
  const destination = packMessage('containerd.types.transfer.WriteStream', {
    stream: stream.id,
    media_type: mediaType,
  });
  const done = client.transfer.Transfer({ source, destination });
  done.catch(() => undefined);
  try {
    yield* receiveBytes(stream);
  } catch (error) {
    // The call knows better than its stream what went wrong.
    await done;
    throw error;
  } finally {
    stream.call.cancel();
  }
  await done;
}
