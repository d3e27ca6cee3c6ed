// The named pipes between a process and whoever is attached to it.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';

/** Paths of a process's stdio; '' for none. A terminal has no stderr of its own. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export const NO_STDIO: StdioPaths = { stdin: '', stdout: '', stderr: '' };

/** Beside the daemon's socket, so that daemons do not meet. */
export function defaultFifoDirectory(socket: string | undefined): string {
  return socket === undefined ? '/run/davit/fifo' : path.join(path.dirname(socket), 'fifo');
}

/** Makes the pipes in a directory of their own below `root`. `removeFifos` undoes it. */
export function createFifos(root: string, id: string, terminal: boolean): StdioPaths {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const directory = mkdtempSync(path.join(root, '/'));
  const stdin = path.join(directory, `${id}-stdin`);
  const stdout = path.join(directory, `${id}-stdout`);
  const stderr = terminal ? '' : path.join(directory, `${id}-stderr`);
  try {
    execFileSync('mkfifo', ['-m', '0700', stdin, stdout, ...(stderr === '' ? [] : [stderr])]);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return { stdin, stdout, stderr };
}

/**
 * Keeps both ends of the pipes open for a process that nobody is attached to yet: without, whoever
 * opens them for it would wait. The function returned lets go.
 */
export function holdFifos(paths: StdioPaths): () => void {
  const held = [paths.stdin, paths.stdout, paths.stderr]
    .filter((file) => file.startsWith('/'))
    .map((file) => openSync(file, constants.O_RDWR | constants.O_NONBLOCK));
  return () => {
    for (const fd of held.splice(0)) closeSync(fd);
  };
}

/** Removes the pipes among `paths`, and the directories that are empty then. Never anything else. */
export function removeFifos(paths: StdioPaths): void {
  const directories = new Set<string>();
  for (const file of [paths.stdin, paths.stdout, paths.stderr]) {
    if (!file.startsWith('/') || !lstatSync(file, { throwIfNoEntry: false })?.isFIFO()) continue;
    unlinkSync(file);
    directories.add(path.dirname(file));
  }
  for (const directory of directories) {
    if (readdirSync(directory).length === 0) rmdirSync(directory);
  }
}
