// Reading files of a root that nobody trusts: every component is opened by descriptor and symbolic
// links are followed inside the root only, so that `/etc/passwd -> /etc/shadow` stays the image's.
import { closeSync, constants, fstatSync, openSync, readSync, readlinkSync } from 'node:fs';

/** Not among Node's constants; the same on every architecture that Node runs on under Linux. */
const O_PATH = 0o10000000;
const MAX_LINKS = 40;
/** Of passwd and group files (CVE-2026-47262). */
const MAX_SIZE = 10 * 1024 * 1024;

/**
 * The text of a regular file in the root that `root` stands for; undefined when there is none.
 * Throws for what is no regular file or is too large.
 */
export function readInRoot(root: string, file: string): string | undefined {
  const found = openInRoot(root, file);
  if (found === undefined) return undefined;
  try {
    return readRegular(found, file);
  } finally {
    closeSync(found);
  }
}

function openInRoot(root: string, file: string): number | undefined {
  let names = components(file);
  let links = 0;
  // The descriptors from the root down to where we are.
  const trail = [openSync(root, O_PATH | constants.O_DIRECTORY)];
  try {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') {
        if (trail.length > 1) closeSync(trail.pop() as number);
        continue;
      }
      const parent = trail.at(-1) as number;
      const next = openAt(parent, name);
      if (next === undefined) return undefined;
      if (!fstatSync(next).isSymbolicLink()) {
        trail.push(next);
        continue;
      }
      closeSync(next);
      // Should it have changed by now, its text is still resolved inside the root only.
      const target = readlinkSync(`/proc/self/fd/${parent}/${name}`);
      if (++links > MAX_LINKS) return undefined;
      if (target.startsWith('/')) while (trail.length > 1) closeSync(trail.pop() as number);
      names = [...components(target), ...names];
    }
    return trail.pop();
  } finally {
    for (const fd of trail) closeSync(fd);
  }
}

function components(file: string): string[] {
  return file.split('/').filter((part) => part !== '' && part !== '.');
}

function openAt(directory: number, name: string): number | undefined {
  try {
    return openSync(`/proc/self/fd/${directory}/${name}`, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function readRegular(fd: number, file: string): string {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw new Error(`${file} of the image: not a regular file`);
  if (stat.size > MAX_SIZE) throw new Error(`${file} of the image: larger than ${MAX_SIZE} bytes`);
  const readable = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(stat.size);
    let length = 0;
    for (let count = -1; length < bytes.length && count !== 0; length += count) {
      count = readSync(readable, bytes, length, bytes.length - length, null);
    }
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(readable);
  }
}
