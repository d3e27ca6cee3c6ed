// Checkpoints of tasks as content: the images that CRIU wrote, as an archive, and the container's spec.
//
// A task is restored from a folder, which a shim may read as late as at Start: it stays until the task
// runs or is deleted. Whatever is in the folder of folders when the daemon starts is nobody's.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { codec } from '../../proto/messages.ts';
import type { CheckpointOptions } from '../../proto/gen/containerd.runc.v1.ts';
import type { CheckpointTaskRequest } from '../../proto/gen/containerd.services.tasks.v1.ts';
import type { Descriptor } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import type { Scope } from '../leases/api.ts';
import { invalidArgument, isAlreadyExists, notImplemented } from '../lib/errors.ts';
import type { Task } from '../runtime/api.ts';

const IMAGES = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';
const SPEC = 'application/vnd.containerd.container.checkpoint.config.v1+proto';
/** What the archive is to the differ. */
const ARCHIVE = 'application/vnd.oci.image.layer.v1.tar';

const OPTIONS = 'containerd.runc.v1.CheckpointOptions';
const options = codec<CheckpointOptions>(OPTIONS);
const anys = codec<Any>('google.protobuf.Any');

export interface CheckpointsDeps {
  readonly content: Content;
  readonly diffs: Diffs;
  /** Holds images that are being written or read. Nobody else's. */
  readonly folder: string;
}

export interface Checkpoints {
  /** Removes what an earlier daemon left. */
  start(): Promise<void>;
  /** Nothing when the request names a folder of its own: the images are there then. */
  write(
    scope: Scope,
    task: Task,
    spec: Any,
    request: CheckpointTaskRequest,
    signal: AbortSignal,
  ): Promise<Input<Descriptor>[]>;
  /** A folder with the images of the descriptor, to be released. */
  unpack(namespace: string, checkpoint: Descriptor, id: string, signal: AbortSignal): Promise<string>;
  release(namespace: string, id: string): Promise<void>;
}

export function createCheckpoints({ content, diffs, folder }: CheckpointsDeps): Checkpoints {
  const folders = new Map<string, string>();

  async function fresh(): Promise<string> {
    const name = path.join(folder, randomBytes(8).toString('hex'));
    await mkdir(name, { recursive: true, mode: 0o700 });
    return name;
  }

  async function writeBlob(scope: Scope, ref: string, bytes: Uint8Array): Promise<string> {
    const writer = await content.writer(scope, { ref });
    try {
      await writer.truncate();
      await writer.write(bytes);
      const digest = writer.digest();
      await writer.commit({ size: bytes.length }).catch((error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
      });
      return digest;
    } finally {
      await writer.close();
    }
  }

  async function store(scope: Scope, images: string, spec: Any, signal: AbortSignal): Promise<Input<Descriptor>[]> {
    const shown = [{ type: 'bind', source: images, target: '', options: ['rbind', 'ro'] }];
    const compared = { mediaType: ARCHIVE, ref: '', labels: new Map(), sourceDateEpoch: undefined };
    const archive = await diffs.compare(scope, [], shown, compared, signal);
    const bytes = anys.encode(spec);
    const digest = await writeBlob(scope, `checkpoint-${path.basename(images)}-spec`, bytes);
    return [
      { media_type: IMAGES, digest: archive.digest, size: String(archive.size) },
      { media_type: SPEC, digest, size: String(bytes.length) },
    ];
  }

  return {
    async start() {
      await rm(folder, { recursive: true, force: true });
    },

    async write(scope, task, spec, request, signal) {
      if (request.parent_checkpoint !== '') throw notImplemented('checkpoint on top of a parent checkpoint');
      const chosen = request.options?.type_url === OPTIONS ? options.decode(request.options.value).image_path : '';
      if (chosen !== '') {
        await task.call('Checkpoint', { path: chosen, options: request.options }, { signal });
        return [];
      }
      const images = await fresh();
      try {
        await task.call('Checkpoint', { path: images, options: request.options }, { signal });
        return await store(scope, images, spec, signal);
      } finally {
        await rm(images, { recursive: true, force: true });
      }
    },

    async unpack(namespace, { media_type: mediaType, digest, size }, id, signal) {
      if (mediaType !== IMAGES) throw invalidArgument(`unsupported checkpoint type "${mediaType}"`);
      const images = await fresh();
      folders.set(`${namespace}/${id}`, images);
      const layer = { mediaType: ARCHIVE, digest, size: Number(size) };
      const place = [{ type: 'bind', source: images, target: '', options: ['rbind', 'rw'] }];
      await diffs.apply(namespace, layer, place, { sync: false }, signal);
      // CRIU opens them by name: a link would show a file of the host's to whoever runs in there.
      const strange = (await readdir(images, { withFileTypes: true })).find((entry) => !entry.isFile());
      if (strange !== undefined) throw invalidArgument(`checkpoint ${digest}: "${strange.name}" is not a regular file`);
      return images;
    },

    async release(namespace, id) {
      const key = `${namespace}/${id}`;
      const images = folders.get(key);
      if (images === undefined) return;
      folders.delete(key);
      await rm(images, { recursive: true, force: true });
    },
  };
}
