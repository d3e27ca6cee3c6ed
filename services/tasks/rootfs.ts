// The mounts of a task's root file system as its shim gets them.
import type { Mount } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Container } from '../containers/api.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Info, Snapshots } from '../snapshots/api.ts';

const UID_LABEL = 'containerd.io/snapshot/uidmapping';
const GID_LABEL = 'containerd.io/snapshot/gidmapping';

/**
 * For a container in a user namespace, whose snapshot's labels say so, the image's layers are shown with
 * mapped ids. Only the shim is told: clients that mount a snapshot to look into it, as ctr does for
 * /etc/passwd, need not know the options.
 */
export function rootfsOf(
  rootfs: readonly Input<Mount>[],
  snapshots: Pick<Snapshots, 'get' | 'names'>,
  namespace: string,
  { snapshotter, snapshotKey }: Pick<Container, 'snapshotter' | 'snapshotKey'>,
): readonly Input<Mount>[] {
  if (!rootfs.some(({ type }) => type === 'overlay') || !snapshots.names.includes(snapshotter)) return rootfs;
  const driver = snapshots.get(snapshotter);
  if (!driver.capabilities.includes('remap-ids')) return rootfs;
  const labels = labelsOf(() => driver.stat(namespace, snapshotKey));
  const uids = labels?.get(UID_LABEL);
  const gids = labels?.get(GID_LABEL);
  if (uids === undefined || gids === undefined) return rootfs;
  return rootfs.map((mount) =>
    mount.type === 'overlay'
      ? { ...mount, options: [...(mount.options ?? []), `uidmap=${uids}`, `gidmap=${gids}`] }
      : mount,
  );
}

/** A client may have its root file system from elsewhere. */
function labelsOf(stat: () => Info): Info['labels'] | undefined {
  try {
    return stat().labels;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
