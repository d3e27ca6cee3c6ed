// /etc/passwd and /etc/group of a snapshot, if possible without mounting it.
import { constants, lstatSync, openSync, readFileSync, closeSync, type Stats } from 'node:fs';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import type { UserFiles } from '../../spec/users.ts';
import { overlayLayers, readOnly, withMounted } from './mount.ts';
import { readInRoot } from './resolve.ts';

/** More makes a passwd file no passwd file. */
const MAX_SIZE = 10 * 1024 * 1024;

/** Of a container's root that is given by these mounts. Read at first use. */
export function snapshotUserFiles(mounts: readonly Mount[]): UserFiles {
  return readOnce(async (name) => {
    const [only] = mounts;
    if (only === undefined) return '';
    if (mounts.length === 1) {
      const quick = isBind(only) ? (readInRoot(only.source, `etc/${name}`) ?? '') : readFromLayers(only, name);
      if (quick !== undefined) return quick;
    }
    return await withMounted(readOnly(mounts), (root) => readInRoot(root, `etc/${name}`) ?? '');
  });
}

/** Of a root that is a directory. */
export function directoryUserFiles(root: string): UserFiles {
  return readOnce((name) => Promise.resolve(readInRoot(root, `etc/${name}`) ?? ''));
}

function readOnce(read: (name: string) => Promise<string>): UserFiles {
  let passwd: Promise<string> | undefined;
  let group: Promise<string> | undefined;
  return { passwd: () => (passwd ??= read('passwd')), group: () => (group ??= read('group')) };
}

function isBind(mount: Mount): boolean {
  return mount.options.some((option) => option === 'bind' || option === 'rbind');
}

/**
 * `etc/<name>` as an overlay of these layers shows it, where that is plain to see. Undefined when
 * it takes the kernel to tell: links, or a directory that may hide those below it.
 */
function readFromLayers(mount: Mount, name: string): string | undefined {
  const { upper, lower } = overlayLayers(mount);
  const layers = [...(upper === undefined ? [] : [upper]), ...lower];
  if (layers.length === 0) return undefined;
  for (const [index, layer] of layers.entries()) {
    const directory = look(`${layer}/etc`);
    if (directory === undefined) continue;
    if (isWhiteout(directory)) return '';
    if (!directory.isDirectory()) return undefined;
    const file = look(`${layer}/etc/${name}`);
    if (file === undefined) {
      const below = layers.slice(index + 1).some((each) => look(`${each}/etc`) !== undefined);
      return below ? undefined : '';
    }
    if (isWhiteout(file)) return '';
    return file.isFile() && file.size <= MAX_SIZE ? readPlain(`${layer}/etc/${name}`) : undefined;
  }
  return '';
}

function look(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}

/** How overlayfs marks what an upper layer has removed. */
function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

function readPlain(file: string): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
