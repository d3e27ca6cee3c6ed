// Checkpoints as images, in the form in which containerd's client makes and reads them: an index of
// the parts that were asked for, with names of the base image, the runtime and the snapshotter.
import { codec } from '../../proto/messages.ts';
import type { Container } from '../../proto/gen/containerd.services.containers.v1.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { packMessage } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { ClientError } from '../../client/errors.ts';
import { readDocument, writeBlob } from '../../client/images/content.ts';
import { fromWire, imageTarget, readIndex, toWire } from '../../client/images/resolve.ts';
import { MEDIA, type Descriptor, type Index } from '../../client/images/types.ts';

const PREFIX = 'application/vnd.containerd.container';
export const PARTS = {
  processes: `${PREFIX}.criu.checkpoint.criu.tar`,
  spec: `${PREFIX}.checkpoint.config.v1+proto`,
  options: `${PREFIX}.checkpoint.options.v1+proto`,
  runtimeOptions: `${PREFIX}.checkpoint.runtime.options+proto`,
  layer: `${MEDIA.ociLayer}+gzip`,
} as const;

const NAMES = {
  image: 'org.opencontainers.image.ref.name',
  runtime: 'io.containerd.checkpoint.runtime',
  snapshotter: 'io.containerd.checkpoint.snapshotter',
} as const;

const CHECKPOINT_OPTIONS = 'containerd.runc.v1.CheckpointOptions';
const anys = codec<Any>('google.protobuf.Any');

export interface Parts {
  readonly image: boolean;
  readonly rw: boolean;
  readonly task: boolean;
}

/** Stores what was asked for; resolves with the index. The client's lease holds it until an image does. */
export async function saveContainer(client: Client, container: Container, parts: Parts): Promise<Descriptor> {
  const { id, image, runtime, snapshotter, snapshot_key: key } = container;
  if (container.spec === null) throw new ClientError('invalid argument', `container "${id}": has no spec`);
  const manifests: Descriptor[] = [];
  const keep = async (mediaType: string, part: string, any: Any): Promise<void> => {
    manifests.push(await store(client, `${id}-${part}`, mediaType, anys.encode(any)));
  };
  if (runtime?.options) await keep(PARTS.runtimeOptions, 'runtime-options', runtime.options);
  if (parts.image) manifests.push(await imageTarget(client, image));
  if (parts.task) {
    const options = packMessage(CHECKPOINT_OPTIONS, { exit: false });
    const { descriptors } = await client.tasks.Checkpoint({ container_id: id, options });
    manifests.push(...descriptors.map(fromWire));
    await keep(PARTS.options, 'checkpoint-options', options);
  } else await keep(PARTS.spec, 'spec', container.spec);
  if (parts.rw) manifests.push(await writableLayer(client, snapshotter, key));
  const annotations = { [NAMES.image]: image, [NAMES.runtime]: runtime?.name ?? '', [NAMES.snapshotter]: snapshotter };
  const index = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests, annotations };
  const labels = Object.fromEntries(
    manifests.map(({ digest }, place) => [`containerd.io/gc.ref.content.${place}`, digest]),
  );
  return await store(client, `${id}-index`, MEDIA.ociIndex, Buffer.from(JSON.stringify(index)), labels);
}

async function store(
  client: Client,
  ref: string,
  mediaType: string,
  bytes: Uint8Array,
  labels?: Readonly<Record<string, string>>,
): Promise<Descriptor> {
  const digest = await writeBlob(client, { ref, size: bytes.length, labels }, [bytes]);
  return { mediaType, digest, size: bytes.length };
}

async function writableLayer(client: Client, snapshotter: string, key: string): Promise<Descriptor> {
  const { info } = await client.snapshots.Stat({ snapshotter, key });
  const { mounts: right } = await client.snapshots.Mounts({ snapshotter, key });
  const view = `${key}-checkpoint-base-${Date.now()}`;
  const parent = info?.parent ?? '';
  const left = parent === '' ? [] : (await client.snapshots.View({ snapshotter, key: view, parent })).mounts;
  try {
    const { diff } = await client.diff.Diff({ media_type: PARTS.layer, ref: `checkpoint-rw-${key}`, left, right });
    if (diff === null) throw new ClientError('not found', `snapshot "${key}": no difference came back`);
    return fromWire(diff);
  } finally {
    if (parent !== '') await client.snapshots.Remove({ snapshotter, key: view }, { signal: undefined });
  }
}

export interface Checkpoint {
  readonly image: string;
  readonly runtime: string;
  readonly snapshotter: string;
  readonly spec: Any;
  readonly runtimeOptions: Any | null;
  /** The writable layer and the processes, where they were saved. */
  readonly layer: ReturnType<typeof toWire> | undefined;
  readonly processes: ReturnType<typeof toWire> | undefined;
}

/** What an image of this name holds. Throws when it is none of a checkpoint. */
export async function readCheckpoint(client: Client, name: string): Promise<Checkpoint> {
  const index: Index & { annotations?: Readonly<Record<string, string>> } = await readIndex(
    client,
    await imageTarget(client, name),
  );
  const named = (key: keyof typeof NAMES): string => {
    const value = index.annotations?.[NAMES[key]];
    if (typeof value !== 'string') throw new ClientError('invalid argument', `image "${name}": not a checkpoint`);
    return value;
  };
  const part = (mediaType: string): Descriptor | undefined =>
    index.manifests.find((each) => each.mediaType === mediaType);
  const read = async (mediaType: string): Promise<Any | null> => {
    const found = part(mediaType);
    return found === undefined ? null : anys.decode(await readDocument(client, found.digest));
  };
  const spec = await read(PARTS.spec);
  if (spec === null) throw new ClientError('invalid argument', `image "${name}": a checkpoint without a spec`);
  const wire = (mediaType: string): ReturnType<typeof toWire> | undefined => {
    const found = part(mediaType);
    return found && toWire(found);
  };
  return {
    image: named('image'),
    runtime: named('runtime'),
    snapshotter: named('snapshotter'),
    spec,
    runtimeOptions: await read(PARTS.runtimeOptions),
    layer: wire(PARTS.layer),
    processes: wire(PARTS.processes),
  };
}
