// The EROFS driver: a committed tree is one read-only image, mounted below the overlays of those on top of it.
//
//   <root>/snapshots/<id>/fs            the changes, while active: the upper layer
//   <root>/snapshots/<id>/work          overlayfs' own, while active
//   <root>/snapshots/<id>/native.erofs  an image that was applied whole, while active
//   <root>/snapshots/<id>/layer.erofs   the changes, when committed
//   <root>/snapshots/<id>/layer         where that is mounted, while somebody needs it: layer-mounts.ts
import { link, lstat, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeErofs, mountAll } from '../../../native/addon/index.ts';
import { errnoCode, failedPrecondition } from '../../lib/errors.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Driver, Tree, Usage } from '../api.ts';
import type { TreeFiles } from './files.ts';
import { createLayerMounts } from './layer-mounts.ts';
import { hasOption, makeUpper, overlayMounts, overlayOptions, type Layers } from './overlay.ts';

/** What an active tree has and a committed one does not. */
const UPPER: ReadonlySet<string> = new Set(['fs', 'work', 'native.erofs', 'partial.erofs']);

export interface ErofsOptions {
  /** Further options of every overlay mount. */
  readonly mountOptions: readonly string[];
}

/**
 * Makes the folders below `root` that the driver needs.
 * Throws `failed precondition` where overlayfs or EROFS cannot work.
 */
export async function createErofsDriver(root: string, files: TreeFiles, options: ErofsOptions): Promise<Driver> {
  const trees = path.join(root, 'snapshots');
  await mkdir(trees, { recursive: true, mode: 0o700 });
  if (!(await kernelHasErofs(root))) {
    throw failedPrecondition('this kernel has no EROFS (CONFIG_EROFS_FS), or `modprobe erofs` is needed');
  }
  const common = await overlayOptions(root, files, options.mountOptions);
  // Layers are file systems of their own: without it files have other device numbers than their folders.
  const mountOptions = hasOption(common, 'xino') ? common : [...common, 'xino=auto'];

  const at = (id: string, name: string): string => path.join(trees, id, name);
  const image = (id: string): string => at(id, 'layer.erofs');
  const mounted = await createLayerMounts(trees, image);
  const layers = (tree: Tree): Layers => ({
    upper: at(tree.id, 'fs'),
    work: at(tree.id, 'work'),
    lower: tree.parents.map((id) => mounted.folder(id)),
  });
  const ready = (tree: Tree): Promise<void> => mounted.hold(tree.id, tree.parents);

  /** Of a tree that is committed. */
  async function dropUpper(id: string): Promise<void> {
    mounted.release(id);
    for (const name of await readdir(path.join(trees, id))) {
      if (UPPER.has(name)) await files.remove(at(id, name));
    }
  }

  return {
    name: 'erofs',
    root,
    capabilities: ['rebase'],

    async create(tree) {
      await ready(tree);
      const parent = tree.parents[0] === undefined ? undefined : await lstat(mounted.folder(tree.parents[0]));
      await makeUpper(tree, layers(tree), parent);
    },
    ready,
    mounts: (tree) => overlayMounts(tree, layers(tree), mountOptions),

    async usage(tree) {
      return (await imageUsage(at(tree.id, 'native.erofs'))) ?? files.usage(at(tree.id, 'fs'));
    },

    async commit({ id }) {
      const partial = at(id, 'partial.erofs');
      await rm(partial, { force: true });
      try {
        await link(at(id, 'native.erofs'), partial);
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
        await makeErofs({ root: at(id, 'fs'), file: partial, epoch: null, digest: false });
      }
      await rename(partial, image(id));
    },
    committed: dropUpper,

    async remove(id) {
      mounted.release(id);
      await mounted.drop(id);
      await files.remove(path.join(trees, id));
    },

    async recover(known) {
      await Promise.all(known.filter(({ kind }) => kind !== 'committed').map(ready));
      const committed = known.filter(({ kind }) => kind === 'committed').map(({ id }) => id);
      await mounted.prune(committed);
      for (const id of committed) await dropUpper(id);
    },
    close: () => mounted.close(),

    sync: () => files.sync(trees),
    trees: () => readdir(trees),
    describe: () => NO_LABELS,
  };
}

/** Where a layer that is an image goes, for the folder that such a layer's files would go to. */
export function nativeImage(root: string, folder: string): string | undefined {
  const tree = path.dirname(folder);
  const isOurs = path.basename(folder) === 'fs' && path.dirname(tree) === path.join(root, 'snapshots');
  return isOurs ? path.join(tree, 'native.erofs') : undefined;
}

async function imageUsage(file: string): Promise<Usage | undefined> {
  try {
    return { size: (await stat(file)).blocks * 512, inodes: 1 };
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Loads the module when there is one: asking for any mount does that. */
async function kernelHasErofs(root: string): Promise<boolean> {
  const listed = async (): Promise<boolean> => /\terofs$/m.test(await readFile('/proc/filesystems', 'utf8'));
  if (await listed()) return true;
  await mountAll([{ type: 'erofs', source: '/dev/null', options: ['ro'] }], root).catch(() => undefined);
  return listed();
}
