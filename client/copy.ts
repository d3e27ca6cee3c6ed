// Files out of and into containers, as tar archives, through the Transfer service.
import { packMessage } from './any.ts';
import { sendBytes } from './bytes.ts';
import type { Client } from './connect.ts';
import { openStream } from './streams.ts';
import { transferredBytes } from './transferred.ts';

const TYPES = 'containerd.types.transfer';
const TAR = 'application/x-tar';

export interface ContainerPath {
  readonly container: string;
  /** From the container's root; a link at its end is meant itself, unless `/` or `/.` follows. */
  readonly path: string;
}

/** The archive of a path; without `walk` of its own entry alone. Leaving the loop ends the copy. */
export async function* readPath(
  client: Client,
  { container, path }: ContainerPath,
  { walk = true } = {},
): AsyncGenerator<Buffer> {
  const source = packMessage(`${TYPES}.ContainerPath`, { container_id: container, path, no_walk: !walk });
  yield* transferredBytes(client, source, TAR);
}

/** Unpacks an archive into a directory of the container. `preserve`: with its owners, else all is root's. */
export async function writePath(
  client: Client,
  { container, path }: ContainerPath,
  bytes: AsyncIterable<Uint8Array>,
  preserve: boolean,
): Promise<void> {
  const stream = await openStream(client, 'copy');
  const source = packMessage(`${TYPES}.ReadStream`, { stream: stream.id, media_type: TAR });
  const place = { container_id: container, path, preserve_ownership: preserve };
  const destination = packMessage(`${TYPES}.ContainerPath`, place);
  const done = client.transfer.Transfer({ source, destination });
  done.catch(() => undefined);
  let ours: { readonly error: unknown } | undefined;
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes;
    } catch (error) {
      ours = { error };
      throw error;
    }
  };
  try {
    await sendBytes(stream, watched());
  } catch (error) {
    stream.call.cancel();
    if (ours !== undefined) throw ours.error;
    await done;
    throw error;
  }
  await done;
}
