// Committing: what a container has changed as one more layer of its image, under a new name.
import { randomBytes } from 'node:crypto';
import { Status } from '../../proto/gen/containerd.v1.types.ts';
import type { Client } from '../connect.ts';
import { ClientError, isNotFound } from '../errors.ts';
import { withLease } from '../lease.ts';
import { baseImage, type Base } from './base.ts';
import { writeJson } from './content.ts';
import type { ImageDocument } from './resolve.ts';
import { createOrUpdate, holdContent } from './store.ts';
import { MEDIA, type Descriptor, type Manifest } from './types.ts';
import { unpack } from './unpack.ts';
import { viewSnapshot } from './view.ts';

export interface CommitOptions {
  /** The new image's full name. */
  readonly name: string;
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  /** What made the changes; for the history. */
  readonly createdBy: string;
  /** Freezes a running container while its files are read. */
  readonly pause: boolean;
  /** Called before a container is paused: should this program die, somebody else is to let it go on. */
  readonly guard?: () => Disposable;
  /** The new image's `config` from that of the container's image. */
  configure(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** Called with the bytes of the layer that are written, and with its size when it is unpacked as an image's. */
  readonly progress?: (event: 'writing' | 'extracting' | 'complete', bytes: number) => void;
}

const CLEANUP_MS = 10_000;
const LOOK_MS = 500;

/**
 * Resolves with the new image's manifest. All that is written is under a lease until the image has its name:
 * whenever this program dies, the image is there in full or nothing of it stays.
 */
export async function commitContainer(root: Client, id: string, options: CommitOptions): Promise<Descriptor> {
  const { container } = await root.containers.Get({ id });
  if (container === null || container.snapshot_key === '')
    throw new ClientError('failed precondition', `container "${id}": has no snapshot to commit`);
  const { snapshotter, snapshot_key: key, image } = container;
  return await withLease(root, async (client) => {
    const { info } = await client.snapshots.Stat({ snapshotter, key });
    const base = await baseImage(client, image, info?.parent ?? '');
    const layer = await whilePaused(client, options.pause ? id : undefined, options.guard, () =>
      writeChanges(client, snapshotter, key, info?.parent ?? '', options.progress),
    );
    const { manifest, config, target } = await writeImage(client, base, layer, options);
    options.progress?.('extracting', layer.size);
    await unpack(client, manifest, config, { snapshotter });
    await createOrUpdate(client, { name: options.name, target }, {});
    options.progress?.('complete', layer.size);
    return target;
  });
}

/** Resumes only what was running, whatever `work` does. */
async function whilePaused<T>(
  client: Client,
  id: string | undefined,
  guard: CommitOptions['guard'],
  work: () => Promise<T>,
): Promise<T> {
  if (id === undefined || !(await isRunning(client, id))) return await work();
  using _guard = guard?.();
  await client.tasks.Pause({ container_id: id });
  try {
    return await work();
  } finally {
    await client.tasks
      .Resume({ container_id: id }, { signal: undefined, timeout: CLEANUP_MS })
      .catch((error: unknown) => process.emitWarning(`container "${id}" stays paused: ${String(error)}`));
  }
}

async function isRunning(client: Client, id: string): Promise<boolean> {
  try {
    const { process } = await client.tasks.Get({ container_id: id });
    return process?.status === Status.RUNNING;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

interface NewLayer extends Descriptor {
  readonly diffId: string;
}

async function writeChanges(
  client: Client,
  snapshotter: string,
  key: string,
  parent: string,
  progress: CommitOptions['progress'],
): Promise<NewLayer> {
  await using before = await viewSnapshot(client, snapshotter, parent);
  await using after = await viewSnapshot(client, snapshotter, key);
  const ref = `commit-${randomBytes(8).toString('hex')}`;
  const stop = watch(client, ref, progress);
  try {
    const { diff } = await client.diff.Diff({
      left: [...before.mounts],
      right: [...after.mounts],
      media_type: `${MEDIA.ociLayer}+gzip`,
      ref,
    });
    if (diff === null) throw new ClientError('internal', 'diff: no layer in the answer');
    const { info } = await client.content.Info({ digest: diff.digest });
    const diffId = info?.labels['containerd.io/uncompressed'] ?? '';
    return { mediaType: diff.media_type, digest: diff.digest, size: Number(diff.size), diffId };
  } catch (error) {
    await client.content.Abort({ ref }, { signal: undefined, timeout: CLEANUP_MS }).catch(() => undefined);
    throw error;
  } finally {
    stop();
  }
}

/** Tells now and then how much of an ingest is written. */
function watch(client: Client, ref: string, progress: CommitOptions['progress']): () => void {
  if (progress === undefined) return () => undefined;
  const timer = setInterval(() => {
    client.content.Status({ ref }).then(
      ({ status }) => progress('writing', Number(status?.offset ?? 0)),
      () => undefined,
    );
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** Docker's types where the base has them: its clients do not take a mixture. */
async function writeImage(
  client: Client,
  base: Base,
  { diffId, ...layer }: NewLayer,
  options: CommitOptions,
): Promise<{ readonly manifest: Manifest; readonly config: ImageDocument; readonly target: Descriptor }> {
  const docker = base.mediaType === MEDIA.dockerManifest;
  const created = new Date().toISOString();
  const { author, message, createdBy } = options;
  const step = {
    created,
    created_by: createdBy,
    ...(author ? { author } : {}),
    ...(message ? { comment: message } : {}),
  };
  const config: ImageDocument = {
    ...base.config,
    created,
    ...(author ? { author } : {}),
    config: options.configure(base.config.config ?? {}),
    rootfs: { type: 'layers', diff_ids: [...base.config.rootfs.diff_ids, diffId] },
    history: [...(base.config.history ?? []), step],
  };
  const mediaType = docker ? MEDIA.dockerManifest : MEDIA.ociManifest;
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType,
    config: await writeJson(client, docker ? MEDIA.dockerConfig : MEDIA.ociConfig, config),
    layers: [...base.manifest.layers, docker ? { ...layer, mediaType: `${MEDIA.dockerLayer}.gzip` } : layer],
  };
  const target = await writeJson(client, mediaType, manifest);
  await holdContent(client, target, undefined);
  return { manifest, config, target };
}
