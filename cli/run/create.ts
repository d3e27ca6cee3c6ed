// Creating a container: image, snapshot, spec, record.
import { inheritedLabels, type ImageConfig } from '../../spec/image.ts';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { SPEC_URL, packMessage } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { hostPlatform, parsePlatform } from '../../client/images/platform.ts';
import { chainIds, findImage, readImage, type ImageDocument } from '../../client/images/resolve.ts';
import type { Manifest } from '../../client/images/types.ts';
import { createLease } from '../../client/lease.ts';
import { jsonText } from '../../spec/json.ts';
import type { UserFiles } from '../../spec/users.ts';
import { directoryUserFiles, snapshotUserFiles } from '../rootfs/users.ts';
import { defaultSnapshotter } from '../snapshotter.ts';
import { buildSpec, type ContainerValues } from './build.ts';
import { labelArguments } from './labels.ts';

const CLEANUP_MS = 10_000;
const STOP_SIGNAL_LABEL = 'io.containerd.image.config.stop-signal';

export interface CreateRequest {
  readonly id: string;
  /** Image name, or with --rootfs a directory. Undefined with --config alone. */
  readonly image: string | undefined;
  readonly args: readonly string[];
  readonly flags: ContainerValues;
}

export interface Created {
  readonly id: string;
  /** Undefined when the root is a directory. */
  readonly snapshot: { readonly snapshotter: string; readonly key: string } | undefined;
  /** What a task's rootfs is made of. */
  readonly mounts: readonly Mount[];
  /** Resolves when nothing of the creation is under way any more. */
  readonly released: Promise<void>;
}

/** Creates the container. When it fails nothing is left behind. */
export async function createContainer(client: Client, request: CreateRequest): Promise<Created> {
  const { flags } = request;
  if (flags.rootfs || request.image === undefined) return await createFromDirectory(client, request);
  return await createFromImage(client, request, request.image);
}

async function createFromDirectory(client: Client, request: CreateRequest): Promise<Created> {
  const files: UserFiles =
    request.image === undefined ? { passwd: async () => '', group: async () => '' } : directoryUserFiles(request.image);
  await record(client, request, {
    name: '',
    image: undefined,
    rootfs: request.image,
    files,
    snapshotter: '',
    key: '',
    labels: {},
  });
  return { id: request.id, snapshot: undefined, mounts: [], released: Promise.resolve() };
}

/** The lease is made while the image is looked up, and ended while the task is being created. */
async function createFromImage(root: Client, request: CreateRequest, ref: string): Promise<Created> {
  const { flags, id } = request;
  const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  const leasing = createLease(root);
  leasing.catch(() => undefined);
  try {
    const [{ name, target }, snapshotter] = await Promise.all([
      findImage(root, ref),
      defaultSnapshotter(root, flags.snapshotter),
    ]);
    const { manifest, config } = await readImage(root, target, platform);
    const client = root.with({ lease: (await leasing).id });
    const mounts = await prepare(client, { manifest, config, snapshotter, key: id, flags });
    try {
      const image = (config.config ?? {}) as ImageConfig;
      const labels = { ...inheritedLabels(image), [STOP_SIGNAL_LABEL]: image.StopSignal || 'SIGTERM' };
      await record(client, request, {
        name,
        image,
        rootfs: undefined,
        files: snapshotUserFiles(mounts),
        snapshotter,
        key: id,
        labels,
      });
    } catch (error) {
      await root.snapshots
        .Remove({ snapshotter, key: id }, { signal: undefined, timeout: CLEANUP_MS })
        .catch(() => undefined);
      throw error;
    }
    return { id, snapshot: { snapshotter, key: id }, mounts, released: leasing.then((lease) => lease.release()) };
  } catch (error) {
    await leasing.then((lease) => lease.release()).catch(() => undefined);
    throw error;
  }
}

interface SnapshotRequest {
  readonly manifest: Manifest;
  readonly config: ImageDocument;
  readonly snapshotter: string;
  readonly key: string;
  readonly flags: ContainerValues;
}

/** The container's own snapshot, on the image's; unpacks the image when nobody has. */
async function prepare(client: Client, request: SnapshotRequest): Promise<Mount[]> {
  const { snapshotter, key, flags } = request;
  const parent = chainIds(request.config.rootfs.diff_ids).at(-1) ?? '';
  const labels = { ...labelArguments(flags['snapshotter-label']), ...remapLabels(flags) };
  const attempt = async (): Promise<Mount[]> =>
    (await client.snapshots.Prepare({ snapshotter, key, parent, labels })).mounts;
  try {
    return await attempt();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const { unpack } = await import('../../client/images/unpack.ts');
    await unpack(client, request.manifest, request.config, { snapshotter, syncFs: flags['sync-fs'] });
    return await attempt();
  }
}

function remapLabels(flags: ContainerValues): Record<string, string> {
  if (flags.uidmap.length === 0) return {};
  if (!flags['remap-labels'])
    throw new Error('--uidmap, --gidmap: need --remap-labels, which lets the snapshotter map the ids');
  return {
    'containerd.io/snapshot/uidmapping': flags.uidmap.join(','),
    'containerd.io/snapshot/gidmapping': flags.gidmap.join(','),
  };
}

interface RecordInputs {
  /** Of the image; '' when there is none. */
  readonly name: string;
  readonly image: ImageConfig | undefined;
  readonly rootfs: string | undefined;
  readonly files: UserFiles;
  readonly snapshotter: string;
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
}

async function record(client: Client, request: CreateRequest, inputs: RecordInputs): Promise<void> {
  const { id, flags, args } = request;
  const spec = await buildSpec({ namespace: client.namespace, id, flags, args, ...inputs });
  await client.containers.Create({
    container: {
      id,
      image: inputs.name,
      labels: { ...inputs.labels, ...labelArguments(flags.label) },
      runtime: { name: flags.runtime, options: runtimeOptions(flags) },
      spec: { type_url: SPEC_URL, value: Buffer.from(jsonText(spec)) },
      snapshotter: inputs.snapshotter,
      snapshot_key: inputs.key,
      sandbox: flags.sandbox ?? '',
    },
  });
}

function runtimeOptions(flags: ContainerValues): Any | null {
  if (flags['runtime-config-path'] !== undefined) {
    return packMessage('runtimeoptions.v1.Options', { config_path: flags['runtime-config-path'] });
  }
  const runc = flags.runtime.startsWith('io.containerd.runc.') || flags.runtime.startsWith('io.containerd.davit.');
  return runc
    ? packMessage('containerd.runc.v1.Options', {
        binary_name: flags['runc-binary'] ?? '',
        root: flags['runc-root'] ?? '',
        systemd_cgroup: flags['runc-systemd-cgroup'],
      })
    : null;
}
