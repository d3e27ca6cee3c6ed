// Temporary folders for tests.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Folder extends AsyncDisposable {
  readonly path: string;
}

/** A folder that is gone when it is disposed of, with everything in it and beside it. */
export async function temporaryFolder(): Promise<Folder> {
  const parent = await mkdtemp(path.join(tmpdir(), 'davit-test-'));
  const folder = path.join(parent, 'folder');
  await mkdir(folder);
  return { path: folder, [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }) };
}

/** A file system of its own with so many bytes; undefined where this process may not mount. */
export async function smallDisk(bytes: number): Promise<Folder | undefined> {
  const folder = await mkdtemp(path.join(tmpdir(), 'davit-test-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'davit-test', folder]);
  } catch {
    await rm(folder, { recursive: true });
    return undefined;
  }
  return {
    path: folder,
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', folder]);
      await rm(folder, { recursive: true });
    },
  };
}
