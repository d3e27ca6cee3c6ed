// The btrfs driver: a tree is a subvolume, a snapshot of its parent's.
//
//   <root>/snapshots/<id>/fs      while active: written through bind mounts
//   <root>/snapshots/<id>/layer   when committed: read-only
//
// A view of a parent has a folder and nothing in it: it shows its parent's subvolume.
import { chown, mkdir, readdir, rmdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { createSubvolume, removeSubvolume, snapshotSubvolume } from '../../../native/addon/index.ts';
import { errnoCode, failedPrecondition } from '../../lib/errors.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Driver, Tree } from '../api.ts';
import type { TreeFiles } from './files.ts';
import { mappedRoot } from './id-mapping.ts';

const BTRFS_MAGIC = 0x9123683e;

/** Makes the folders below `root` that the driver needs. Throws `failed precondition` where `root` is not on btrfs. */
export async function createBtrfsDriver(root: string, files: TreeFiles): Promise<Driver> {
  const trees = path.join(root, 'snapshots');
  await mkdir(root, { recursive: true, mode: 0o700 });
  if ((await statfs(root)).type !== BTRFS_MAGIC) {
    throw failedPrecondition(`${root} is not on btrfs: set root_path to a folder that is, or use another snapshotter`);
  }
  await mkdir(trees, { recursive: true, mode: 0o700 });

  const active = (id: string): string => path.join(trees, id, 'fs');
  const layer = (id: string): string => path.join(trees, id, 'layer');

  async function removeIfThere(subvolume: string): Promise<void> {
    try {
      await removeSubvolume(subvolume);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return;
      if (errnoCode(error) !== 'ENOTEMPTY') throw error;
      // What runs in it made subvolumes of its own. An emptied one goes like a folder.
      await files.remove(subvolume);
    }
  }

  return {
    name: 'btrfs',
    root,
    capabilities: [],

    async create({ id, kind, parents, labels }) {
      await mkdir(path.join(trees, id), { mode: 0o755 });
      const [parent] = parents;
      if (parent === undefined) await createSubvolume(active(id));
      else if (kind === 'active') await snapshotSubvolume(layer(parent), active(id), false);
      const owner = mappedRoot(labels);
      if (owner !== undefined && kind === 'active') await chown(active(id), owner.uid, owner.gid);
    },

    mounts(tree) {
      const source = showsParent(tree) ? layer(tree.parents[0] ?? tree.id) : active(tree.id);
      return [{ type: 'bind', source, target: '', options: [tree.kind === 'view' ? 'ro' : 'rw', 'rbind'] }];
    },

    usage: ({ id, parents: [parent] }) => files.usage(active(id), parent === undefined ? undefined : layer(parent)),

    async commit({ id }) {
      await removeIfThere(layer(id));
      await snapshotSubvolume(active(id), layer(id), true);
    },
    committed: (id) => removeIfThere(active(id)),

    async remove(id) {
      await removeIfThere(active(id));
      await removeIfThere(layer(id));
      await rmdir(path.join(trees, id)).catch((error: unknown) => {
        if (errnoCode(error) !== 'ENOENT') throw error;
      });
    },

    async recover(known) {
      for (const { id, kind } of known) if (kind === 'committed') await removeIfThere(active(id));
    },

    sync: () => files.sync(trees),
    trees: () => readdir(trees),
    describe: () => NO_LABELS,
  };
}

function showsParent(tree: Tree): boolean {
  return tree.kind === 'view' && tree.parents.length > 0;
}
