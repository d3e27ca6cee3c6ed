// Puts images into a daemon as clients do: write the blobs, register the image, unpack the layers.
import type { Client } from '../../client/connect.ts';
import { isAlreadyExists, isNotFound } from '../../client/errors.ts';
import { withLease } from '../../client/lease.ts';
import type { WriteContentRequest } from '../../proto/gen/containerd.services.content.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { sha256, type TestImage } from './image.ts';

export const WRITE = { STAT: 0, WRITE: 1, COMMIT: 2 } as const;

const CHUNK = 1024 * 1024;

/** Writes a blob and commits it; one that is there already is fine. Gives its digest. */
export async function putBlob(
  client: Client,
  bytes: Uint8Array,
  labels: Readonly<Record<string, string>> = {},
): Promise<string> {
  await makeBlob(client, bytes, labels);
  return sha256(bytes);
}

/** As putBlob(); gives whether it was not there before. */
export async function makeBlob(
  client: Client,
  bytes: Uint8Array,
  labels: Readonly<Record<string, string>>,
): Promise<boolean> {
  const digest = sha256(bytes);
  const call = client.content.Write();
  const ask = async (message: Input<WriteContentRequest>): Promise<void> => {
    await call.send(message);
    await call.receive();
  };
  try {
    const common = { ref: `put-${digest}`, total: String(bytes.length), expected: digest };
    await ask({ action: WRITE.STAT, ...common });
    for (let offset = 0; offset < bytes.length; offset += CHUNK) {
      await ask({
        action: WRITE.WRITE,
        ...common,
        offset: String(offset),
        data: Buffer.from(bytes.subarray(offset, offset + CHUNK)),
      });
    }
    await ask({ action: WRITE.COMMIT, ...common, offset: String(bytes.length), labels });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return false;
  } finally {
    call.cancel();
  }
  return true;
}

export async function getBlob(
  client: Client,
  digest: string,
  range: { offset?: string; size?: string } = {},
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const { data } of client.content.Read({ digest, ...range })) parts.push(data);
  return Buffer.concat(parts);
}

/** The chain id of the layers up to the last: the name of their snapshot. */
export function chainId(diffIds: readonly string[]): string {
  return diffIds.reduce((parent, diffId) => (parent === '' ? diffId : sha256(Buffer.from(`${parent} ${diffId}`))), '');
}

/** Writes the image's blobs with the labels that keep them, registers and unpacks it. */
export async function putImage(client: Client, image: TestImage, snapshotter = 'overlayfs'): Promise<void> {
  await withLease(client, async (leased) => {
    for (const layer of image.layers)
      await putBlob(leased, layer.bytes, { 'containerd.io/uncompressed': layer.diffId });
    await putBlob(leased, image.blobs.get(image.config.digest) ?? Buffer.alloc(0), {
      [`containerd.io/gc.ref.snapshot.${snapshotter}`]: chainId(image.layers.map(({ diffId }) => diffId)),
    });
    await putBlob(leased, image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0), {
      'containerd.io/gc.ref.content.config': image.config.digest,
      ...Object.fromEntries(
        image.layers.map((layer, index) => [`containerd.io/gc.ref.content.l.${index}`, layer.descriptor.digest]),
      ),
    });
    const { media_type, digest, size } = descriptor(image.manifest);
    await leased.images
      .Create({ image: { name: image.name, target: { media_type, digest, size } } })
      .catch(unlessThere);
    await unpack(leased, image, snapshotter);
  });
}

function unlessThere(error: unknown): void {
  if (!isAlreadyExists(error)) throw error;
}

export function descriptor(from: { mediaType: string; digest: string; size: number }): {
  media_type: string;
  digest: string;
  size: string;
} {
  return { media_type: from.mediaType, digest: from.digest, size: String(from.size) };
}

/** Applies the layers one after the other; gives the name of the topmost snapshot. */
export async function unpack(client: Client, image: TestImage, snapshotter = 'overlayfs'): Promise<string> {
  let parent = '';
  for (const [index, layer] of image.layers.entries()) {
    const name = chainId(image.layers.slice(0, index + 1).map(({ diffId }) => diffId));
    if (!(await exists(client, snapshotter, name))) {
      const key = `extract-${process.pid}-${Date.now()}-${name}`;
      const { mounts } = await client.snapshots.Prepare({ snapshotter, key, parent });
      await client.diff.Apply({ diff: descriptor(layer.descriptor), mounts });
      await client.snapshots.Commit({ snapshotter, key, name }).catch(unlessThere);
    }
    parent = name;
  }
  return parent;
}

async function exists(client: Client, snapshotter: string, key: string): Promise<boolean> {
  try {
    await client.snapshots.Stat({ snapshotter, key });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
