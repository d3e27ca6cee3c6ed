// The native driver: a tree is a whole copy of its parent. Works on every file system, costs space.
//
//   <root>/snapshots/<id>/    the files; a view of a parent has no folder and shows its parent's
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { invalidArgument } from '../../lib/errors.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Driver, Tree } from '../api.ts';
import type { TreeFiles } from './files.ts';
import { mappedRoot } from './id-mapping.ts';

/** Makes the folders below `root` that the driver needs. */
export async function createNativeDriver(root: string, files: TreeFiles): Promise<Driver> {
  const trees = path.join(root, 'snapshots');
  await mkdir(trees, { recursive: true, mode: 0o700 });

  const folder = (id: string): string => path.join(trees, id);

  return {
    name: 'native',
    root,
    capabilities: [],

    async create(tree) {
      if (showsParent(tree)) return;
      if (mappedRoot(tree.labels) !== undefined)
        throw invalidArgument('snapshotter native cannot map ids, overlayfs can');
      await mkdir(folder(tree.id), { mode: 0o755 });
      const parent = tree.parents[0];
      if (parent !== undefined) await files.copy(folder(parent), folder(tree.id));
    },

    mounts(tree) {
      const source = showsParent(tree) ? folder(tree.parents[0] ?? tree.id) : folder(tree.id);
      return [{ type: 'bind', source, target: '', options: ['rbind', tree.kind === 'view' ? 'ro' : 'rw'] }];
    },

    usage: (tree) => files.usage(folder(tree.id)),
    measuresFolder: true,
    commit: () => Promise.resolve(),
    remove: (id) => files.remove(folder(id)),
    sync: () => files.sync(trees),
    trees: () => readdir(trees),
    describe: () => NO_LABELS,
  };
}

function showsParent(tree: Tree): boolean {
  return tree.kind === 'view' && tree.parents.length > 0;
}
