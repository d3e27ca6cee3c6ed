// Archives into the image store through the Transfer service.
import { packMessage } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { openStream } from '../../client/streams.ts';
import { sendAll } from './byte-streams.ts';

export const TYPES = 'containerd.types.transfer';
/** Names as the archive has them. */
export const NAMED = { extra_references: [{ name: 'docker.io/test', is_prefix: true, allow_overwrite: true }] };

/** Imports the archive; `store` is where to. */
export async function importArchive(client: Client, bytes: Buffer, store: object = NAMED): Promise<void> {
  const stream = await openStream(client, 'import');
  const sent = sendAll(stream, bytes).catch(() => undefined);
  try {
    await client.transfer.Transfer({
      source: packMessage(`${TYPES}.ImageImportStream`, { stream: stream.id }),
      destination: packMessage(`${TYPES}.ImageStore`, store),
    });
  } finally {
    stream.call.cancel();
    await sent;
  }
}
