// The overlayfs driver: a tree is a folder with the changes on top of its parents.
//
//   <root>/snapshots/<id>/fs     the changes: upper layer while active, lower layer when committed
//   <root>/snapshots/<id>/work   overlayfs' own, for active snapshots
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { release } from 'node:os';
import path from 'node:path';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Driver, Tree } from '../api.ts';
import { canMapLayers, type Owner } from './id-mapping.ts';
import type { TreeFiles } from './files.ts';
import { makeUpper, overlayMounts, overlayOptions, type Layers } from './overlay.ts';

const UPPERDIR_LABEL = 'containerd.io/snapshot/overlay.upperdir';

export interface OverlayOptions {
  /** Further options of every overlay mount. */
  readonly mountOptions: readonly string[];
  /** Tell clients the path of the changes in a label. */
  readonly upperdirLabel: boolean;
}

/**
 * Makes the folders below `root` that the driver needs.
 * Throws `failed precondition` where overlayfs cannot work.
 */
export async function createOverlayDriver(root: string, files: TreeFiles, options: OverlayOptions): Promise<Driver> {
  const trees = path.join(root, 'snapshots');
  await mkdir(trees, { recursive: true, mode: 0o700 });
  const mountOptions = await overlayOptions(root, files, options.mountOptions);
  const mapsLayers = canMapLayers(release());
  /** Owners of the top folders of committed trees, which never change. */
  const owners = new Map<string, Owner>();

  const upper = (id: string): string => path.join(trees, id, 'fs');
  const layers = (tree: Tree): Layers => ({
    upper: upper(tree.id),
    work: path.join(trees, tree.id, 'work'),
    lower: tree.parents.map(upper),
  });

  async function ownerOf(id: string): Promise<Owner> {
    let owner = owners.get(id);
    if (owner === undefined) {
      const { uid, gid } = await lstat(upper(id));
      owner = { uid, gid };
      owners.set(id, owner);
    }
    return owner;
  }

  return {
    name: 'overlayfs',
    root,
    capabilities: mapsLayers ? ['rebase', 'remap-ids', 'multi-remap-ids'] : ['rebase'],

    async create(tree) {
      await makeUpper(tree, layers(tree), tree.parents[0] === undefined ? undefined : await ownerOf(tree.parents[0]));
    },
    mounts: (tree) => overlayMounts(tree, layers(tree), mountOptions),
    usage: (tree) => files.usage(upper(tree.id)),
    measuresFolder: true,

    // What was the upper layer is a lower one from now on.
    commit: () => Promise.resolve(),

    async remove(id) {
      owners.delete(id);
      await files.remove(path.join(trees, id));
    },

    sync: () => files.sync(trees),
    trees: () => readdir(trees),
    describe: (id) => (options.upperdirLabel ? new Map([[UPPERDIR_LABEL, upper(id)]]) : NO_LABELS),
  };
}
