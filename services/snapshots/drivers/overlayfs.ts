// The overlayfs driver: a tree is a folder with the changes on top of its parents.
//
//   <root>/snapshots/<id>/fs     the changes: upper layer while active, lower layer when committed
//   <root>/snapshots/<id>/work   overlayfs' own, for active snapshots
//
// A tree without parents, and a view of a single layer, need no overlay: they are bind mounts.
import { access, chown, lstat, mkdir, readdir } from 'node:fs/promises';
import { release } from 'node:os';
import path from 'node:path';
import { probeOverlay, unmountAll } from '../../../native/addon/index.ts';
import { errnoCode, failedPrecondition } from '../../lib/errors.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Mount } from '../../lib/mount.ts';
import type { Driver } from '../api.ts';
import { canMapLayers, mappedRoot, type Owner } from './id-mapping.ts';
import type { TreeFiles } from './files.ts';

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
  await removeProbes(root, files);
  const support = await probeOverlay(root);
  if (!support.supported) {
    throw failedPrecondition(
      `overlayfs does not work in ${root}: ${support.reason}; use another snapshotter or file system`,
    );
  }
  const mountOptions = [...options.mountOptions, ...(await kernelOptions(options.mountOptions, support.userXattr))];
  const mapsLayers = canMapLayers(release());
  /** Owners of the top folders of committed trees, which never change. */
  const owners = new Map<string, Owner>();

  const upper = (id: string): string => path.join(trees, id, 'fs');
  const work = (id: string): string => path.join(trees, id, 'work');

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
      // The top folder of the mount is that of the uppermost layer, so it has to look like its parent's.
      const owner =
        mappedRoot(tree.labels) ?? (tree.parents[0] === undefined ? undefined : await ownerOf(tree.parents[0]));
      // Each makes the tree's folder too: side by side they cost one turn of the thread pool.
      await Promise.all([
        makeFolder(upper(tree.id), 0o755),
        tree.kind === 'active' && makeFolder(work(tree.id), 0o711),
      ]);
      if (owner !== undefined && (owner.uid !== 0 || owner.gid !== 0))
        await chown(upper(tree.id), owner.uid, owner.gid);
    },

    mounts(tree) {
      if (tree.parents.length === 0) return [bind(upper(tree.id), tree.kind === 'view' ? 'ro' : 'rw')];
      const [only, ...others] = tree.parents;
      if (tree.kind !== 'active' && only !== undefined && others.length === 0) return [bind(upper(only), 'ro')];
      const writable = tree.kind === 'active' ? [`workdir=${work(tree.id)}`, `upperdir=${upper(tree.id)}`] : [];
      const lower = `lowerdir=${tree.parents.map(upper).join(':')}`;
      return [{ type: 'overlay', source: 'overlay', target: '', options: [...writable, lower, ...mountOptions] }];
    },

    usage: (tree) => files.usage(upper(tree.id)),

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

/** Makes a folder and the one that it is in. */
async function makeFolder(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode, recursive: true });
  } catch (error) {
    // Node says so too when something else was refused to it, such as room on the disk: ask again for that.
    if (errnoCode(error) !== 'ENOENT') throw error;
    await mkdir(path.dirname(folder), { mode: 0o755 });
    await mkdir(folder, { mode });
  }
}

function bind(source: string, access: 'ro' | 'rw'): Mount {
  return { type: 'bind', source, target: '', options: [access, 'rbind'] };
}

function hasOption(options: readonly string[], name: string): boolean {
  return options.some((option) => option === name || option.startsWith(`${name}=`));
}

/** Options that this kernel, and a user namespace, ask for and that are not configured. */
async function kernelOptions(configured: readonly string[], userXattr: boolean): Promise<string[]> {
  const options: string[] = [];
  if (!hasOption(configured, 'userxattr') && userXattr) options.push('userxattr');
  // With an index a layer could not be in several mounts at once.
  if (!hasOption(configured, 'index') && (await exists('/sys/module/overlay/parameters/index')))
    options.push('index=off');
  return options;
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** What probes of killed daemons left. */
async function removeProbes(root: string, files: TreeFiles): Promise<void> {
  for (const name of await readdir(root)) {
    if (!name.startsWith('overlay-probe-')) continue;
    const probe = path.join(root, name);
    await unmountAll(path.join(probe, 'merged'), { detach: true });
    await files.remove(probe);
  }
}
