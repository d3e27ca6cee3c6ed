// Where our shims listen: `<state>/s`, or, where that would make the sockets' paths too long, a folder below
// /run/davit for this state alone, which says in the link `.state` whose it is.
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readlink, rmdir, stat, symlink, unlink } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode } from '../lib/errors.ts';
import type { Recovery } from '../lib/recovery.ts';
import { connectTtrpc, ConnectionClosed } from './ttrpc/client.ts';

/** A socket's path has 107 bytes at most, and its name, a slash before it, takes 65. */
const MAX_FOLDER = 42;
const SHORT = '/run/davit';
const OWNER = '.state';
const CONNECT_TIMEOUT = 1000;

export interface SocketFolder {
  readonly path: string;
  /** Removes sockets that no process listens on any more, but those in `known`: their tasks are cleaned up after. */
  sweep(known: ReadonlySet<string>): Promise<void>;
  /** Takes away what no shim needs. */
  close(): Promise<void>;
}

/** `short` is where folders with short paths are made. */
export async function openSocketFolder(state: string, recovery: Recovery, short = SHORT): Promise<SocketFolder> {
  const opened = Date.now();
  const near = path.join(state, 's');
  const isNear = Buffer.byteLength(near) <= MAX_FOLDER;
  const hash = createHash('sha256').update(state).digest('hex').slice(0, 16);
  const folder = isNear ? near : path.join(short, `s-${hash}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (!isNear) await symlink(state, path.join(folder, OWNER)).catch(unless('EEXIST'));

  async function sweepFolder(swept: string, known: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(swept)) {
      const file = path.join(swept, name);
      // One that was made since may be about to be listened on.
      if (name === OWNER || known.has(file) || (await changedAt(file)) > opened || (await answers(file))) continue;
      await unlink(file);
      recovery.add({ what: 'socket', namespace: '', id: file, outcome: 'removed', detail: 'nobody listens on it' });
    }
  }

  /** Folders whose state is gone, with all shims: of tests, and of states that were moved. */
  async function sweepOthers(): Promise<void> {
    for (const name of await readdir(short).catch(() => [])) {
      const other = path.join(short, name);
      if (!name.startsWith('s-') || other === folder || (await isOwned(other))) continue;
      await sweepFolder(other, new Set());
      await removeUnused(other);
    }
  }

  return {
    path: folder,
    async sweep(known) {
      await sweepFolder(folder, known);
      await sweepOthers();
    },
    async close() {
      if (!isNear) await removeUnused(folder);
    },
  };
}

/** Removes a folder that has no sockets. */
async function removeUnused(folder: string): Promise<void> {
  if ((await readdir(folder)).some((name) => name !== OWNER)) return;
  await unlink(path.join(folder, OWNER)).catch(unless('ENOENT'));
  await rmdir(folder).catch(unless('ENOTEMPTY'));
}

async function isOwned(folder: string): Promise<boolean> {
  const owner = await readlink(path.join(folder, OWNER)).catch(unless('ENOENT'));
  return (
    owner !== undefined &&
    (await stat(owner).then(
      () => true,
      () => false,
    ))
  );
}

/** False when nobody listens there; true when somebody does, and when that cannot be told. */
async function answers(socket: string): Promise<boolean> {
  try {
    (await connectTtrpc(socket, CONNECT_TIMEOUT)).close();
    return true;
  } catch (error) {
    return !(error instanceof ConnectionClosed);
  }
}

/** For what may fail with this code. */
function unless(code: string): (error: unknown) => undefined {
  return (error) => {
    if (errnoCode(error) !== code) throw error;
    return undefined;
  };
}

/** Milliseconds since 1970; of what has gone meanwhile: never again. */
function changedAt(file: string): Promise<number> {
  return lstat(file).then(
    ({ ctimeMs }) => ctimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}
