// The files of snapshots as Diff takes them.
import type { Mount } from '../../proto/gen/containerd.types.ts';
import { Kind } from '../../proto/gen/containerd.services.snapshots.v1.ts';
import type { Client } from '../connect.ts';

export interface Viewed extends AsyncDisposable {
  readonly mounts: readonly Mount[];
}

const CLEANUP_MS = 10_000;

/** An active snapshot as it is; a committed one through a view that goes away again; '' is nothing at all. */
export async function viewSnapshot(client: Client, snapshotter: string, key: string): Promise<Viewed> {
  const { info } = key === '' ? { info: null } : await client.snapshots.Stat({ snapshotter, key });
  if (info !== null && info.kind !== Kind.COMMITTED) {
    const { mounts } = await client.snapshots.Mounts({ snapshotter, key });
    const mapped = await withIdMaps(client, snapshotter, mounts, info.labels);
    return { mounts: mapped, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const view = `diff-view-${process.hrtime.bigint()}`;
  const { mounts } = await client.snapshots.View({ snapshotter, key: view, parent: key });
  return {
    mounts,
    async [Symbol.asyncDispose]() {
      // Also when the client's signal is aborted; a lease ends what stays.
      await client.snapshots
        .Remove({ snapshotter, key: view }, { signal: undefined, timeout: CLEANUP_MS })
        .catch(() => undefined);
    },
  };
}

const MAP_LABELS = { uidmap: 'containerd.io/snapshot/uidmapping', gidmap: 'containerd.io/snapshot/gidmapping' };

/**
 * The daemon tells a container's shim alone that the container's ids are others than the host's. Said to
 * Diff as mount options, the layer gets the container's ids.
 */
async function withIdMaps(
  client: Client,
  snapshotter: string,
  mounts: readonly Mount[],
  labels: Readonly<Record<string, string>>,
): Promise<readonly Mount[]> {
  const maps = Object.entries(MAP_LABELS).flatMap(([option, label]) =>
    labels[label] === undefined ? [] : [`${option}=${labels[label]}`],
  );
  const told = mounts.some(({ options }) => options.some((option) => option.startsWith('uidmap=')));
  if (maps.length === 0 || told || !(await mapsIds(client, snapshotter))) return mounts;
  return mounts.map((mount) => (mount.type === 'overlay' ? { ...mount, options: [...mount.options, ...maps] } : mount));
}

async function mapsIds(client: Client, snapshotter: string): Promise<boolean> {
  const { plugins } = await client.introspection.Plugins({ filters: [`id==${snapshotter}`] });
  return plugins.some(({ capabilities }) => capabilities.includes('remap-ids'));
}
