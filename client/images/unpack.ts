// Unpacking: an image's layers into a chain of committed snapshots.
import { randomBytes } from 'node:crypto';
import type { Client } from '../connect.ts';
import { ClientError, isAlreadyExists, isNotFound } from '../errors.ts';
import { labelContent } from './content.ts';
import { chainIds, toWire, type ImageDocument } from './resolve.ts';
import type { Descriptor, Manifest } from './types.ts';

export interface UnpackOptions {
  readonly snapshotter: string;
  /** Asks for the layers' files to be on disk before the snapshots are committed. */
  readonly syncFs?: boolean;
  /** Called for each layer that is to be unpacked: first for all of them, then before and after each. */
  readonly progress?: (layer: Descriptor, state: 'waiting' | 'extracting' | 'extracted') => void;
}

/** Unpacks what is not unpacked yet; resolves with the name of the snapshot to start containers from. */
export async function unpack(
  client: Client,
  manifest: Manifest,
  config: ImageDocument,
  options: UnpackOptions,
): Promise<string> {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new ClientError(
      'invalid argument',
      `image config ${manifest.config.digest}: ${diffIds.length} diff ids for ${manifest.layers.length} layers`,
    );
  }
  const chain = chainIds(diffIds);
  let done = await firstMissing(client, chain, options.snapshotter);
  for (const layer of manifest.layers.slice(done)) options.progress?.(layer, 'waiting');
  for (; done < chain.length; done++) {
    const layer = manifest.layers[done] as Descriptor;
    options.progress?.(layer, 'extracting');
    await unpackLayer(
      client,
      layer,
      { name: chain[done] as string, parent: chain[done - 1] ?? '', diffId: diffIds[done] as string },
      options,
    );
    options.progress?.(layer, 'extracted');
  }
  const name = chain.at(-1) ?? '';
  await labelContent(client, manifest.config.digest, {
    [`containerd.io/gc.ref.snapshot.${options.snapshotter}`]: name,
  });
  return name;
}

/** The index of the first layer that has no snapshot; looks from the top, where the answer usually is. */
async function firstMissing(client: Client, chain: readonly string[], snapshotter: string): Promise<number> {
  for (let index = chain.length - 1; index >= 0; index--) {
    if (await snapshotExists(client, snapshotter, chain[index] as string)) return index + 1;
  }
  return 0;
}

export async function snapshotExists(client: Client, snapshotter: string, key: string): Promise<boolean> {
  try {
    await client.snapshots.Stat({ snapshotter, key });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

interface Step {
  readonly name: string;
  readonly parent: string;
  readonly diffId: string;
}

async function unpackLayer(client: Client, layer: Descriptor, step: Step, options: UnpackOptions): Promise<void> {
  const { snapshotter } = options;
  const key = `extract-${process.hrtime.bigint()}-${randomBytes(3).toString('base64url')} ${step.name}`;
  const labels = { 'containerd.io/snapshot.ref': step.name };
  let prepared;
  try {
    prepared = await client.snapshots.Prepare({ snapshotter, key, parent: step.parent, labels });
  } catch (error) {
    // A remote snapshotter has the layer without our help.
    if (isAlreadyExists(error) && (await snapshotExists(client, snapshotter, step.name))) return;
    throw error;
  }
  try {
    const { applied } = await client.diff.Apply({
      diff: toWire(layer),
      mounts: prepared.mounts,
      sync_fs: options.syncFs ?? false,
    });
    if (applied?.digest !== step.diffId) {
      throw new ClientError(
        'failed precondition',
        `layer ${layer.digest}: unpacks to ${applied?.digest}, the image says ${step.diffId}`,
      );
    }
    try {
      await client.snapshots.Commit({ snapshotter, name: step.name, key, labels });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Somebody else was faster with the same layer.
      await client.snapshots.Remove({ snapshotter, key });
    }
  } catch (error) {
    await client.snapshots.Remove({ snapshotter, key }, { signal: undefined, timeout: 10_000 }).catch(() => undefined);
    throw error;
  }
  await labelContent(client, layer.digest, { 'containerd.io/uncompressed': step.diffId });
}
