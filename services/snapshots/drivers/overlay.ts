// What drivers that stack their trees with overlayfs have in common.
import { access, chown, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { probeOverlay, unmountAll } from '../../../native/addon/index.ts';
import { errnoCode, failedPrecondition } from '../../lib/errors.ts';
import type { Mount } from '../../lib/mount.ts';
import type { Tree } from '../api.ts';
import { mappedRoot, type Owner } from './id-mapping.ts';
import type { TreeFiles } from './files.ts';

/** Where the layers of one tree are. */
export interface Layers {
  readonly upper: string;
  readonly work: string;
  /** Below it, the uppermost first. */
  readonly lower: readonly string[];
}

/**
 * The options of every overlay mount: those that are configured, and what this kernel, or a user namespace, asks for
 * besides. Throws `failed precondition` where overlayfs cannot have an upper layer in `root`.
 */
export async function overlayOptions(
  root: string,
  files: TreeFiles,
  configured: readonly string[],
): Promise<readonly string[]> {
  await removeProbes(root, files);
  const support = await probeOverlay(root);
  if (!support.supported) {
    throw failedPrecondition(
      `overlayfs does not work in ${root}: ${support.reason}; use another snapshotter or file system`,
    );
  }
  const options = [...configured];
  if (!hasOption(configured, 'userxattr') && support.userXattr) options.push('userxattr');
  // With an index a layer could not be in several mounts at once.
  if (!hasOption(configured, 'index') && (await exists('/sys/module/overlay/parameters/index')))
    options.push('index=off');
  return options;
}

/** A tree without parents, and a view of a single layer, need no overlay: they are bind mounts. */
export function overlayMounts(tree: Tree, { upper, work, lower }: Layers, options: readonly string[]): Mount[] {
  if (lower.length === 0) return [bind(upper, tree.kind === 'view' ? 'ro' : 'rw')];
  const [only, ...others] = lower;
  if (tree.kind !== 'active' && only !== undefined && others.length === 0) return [bind(only, 'ro')];
  const writable = tree.kind === 'active' ? [`workdir=${work}`, `upperdir=${upper}`] : [];
  return [
    {
      type: 'overlay',
      source: 'overlay',
      target: '',
      options: [...writable, `lowerdir=${lower.join(':')}`, ...options],
    },
  ];
}

/**
 * Makes the folders of a new tree, whose top is to look like its parent's, since the top folder of a mount is that of
 * its uppermost layer.
 */
export async function makeUpper(tree: Tree, { upper, work }: Layers, parent: Owner | undefined): Promise<void> {
  const owner = mappedRoot(tree.labels) ?? parent;
  // Each makes the tree's folder too: side by side they cost one turn of the thread pool.
  await Promise.all([makeFolder(upper, 0o755), tree.kind === 'active' && makeFolder(work, 0o711)]);
  if (owner !== undefined && (owner.uid !== 0 || owner.gid !== 0)) await chown(upper, owner.uid, owner.gid);
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

export function hasOption(options: readonly string[], name: string): boolean {
  return options.some((option) => option === name || option.startsWith(`${name}=`));
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
