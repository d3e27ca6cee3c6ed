// What mounts of the types `mkdir/...` and `mkfs/...` want to be there before: folders, and files with a file system.
// Both are made only below folders that are the daemon's own, and never through links: an image's content is not trusted.
import { execFile } from 'node:child_process';
import { chown, lstat, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoCode, Failure, failedPrecondition, invalidArgument, notImplemented } from '../lib/errors.ts';
import type { Mount } from '../lib/mount.ts';

const MKDIR = 'X-containerd.mkdir.';
const MKFS = 'X-containerd.mkfs.';
const MKFS_TIMEOUT = 60_000;

/** Makes the folders that options `X-containerd.mkdir.path=<path>[:<mode>[:<uid>:<gid>]]` name; gives the mount without them. */
export async function makeFolders(mount: Mount, roots: readonly string[]): Promise<Mount> {
  const [ours, options] = partition(mount.options, MKDIR);
  for (const option of ours) {
    const [, folder = '', mode = '700', uid, gid] =
      /^path=([^:]+)(?::([0-7]{1,4}))?(?::(\d+):(\d+))?$/.exec(option) ?? [];
    if (folder === '') throw invalidArgument(`invalid mkdir option ${JSON.stringify(MKDIR + option)}`);
    await checkPath(folder, roots, 'mkdir');
    try {
      await mkdir(folder, { mode: Number.parseInt(mode, 8) });
      if (uid !== undefined) await chown(folder, Number(uid), Number(gid));
    } catch (error) {
      if (errnoCode(error) === 'EEXIST' && (await lstat(folder)).isDirectory()) continue;
      throw new Failure('unknown', `failed to create directory "${folder}": ${text(error)}`, { cause: error });
    }
  }
  return { ...mount, options };
}

/**
 * Makes the mount's source, unless it is there: a file of the size that `X-containerd.mkfs.size=` says, with the file system
 * of `X-containerd.mkfs.fs=` (ext4); gives the mount without these options.
 */
export async function makeFileSystem(mount: Mount, roots: readonly string[], signal: AbortSignal): Promise<Mount> {
  const [ours, options] = partition(mount.options, MKFS);
  const settings = new Map(ours.map((option) => option.split(/=(.*)/s).slice(0, 2) as [string, string]));
  for (const key of settings.keys()) {
    if (!['size', 'fs', 'uuid'].includes(key)) throw invalidArgument(`unknown mount option ${key}`);
  }
  const size = bytes(settings.get('size') ?? '');
  const { source } = mount;
  await checkPath(source, roots, 'mkfs');
  const [program, words] = command(settings.get('fs') ?? 'ext4', settings.get('uuid'));
  const file = await open(source, 'wx', 0o640).catch((error: unknown) => {
    if (errnoCode(error) === 'EEXIST') return undefined;
    throw new Failure('unknown', `failed to create file "${source}": ${text(error)}`, { cause: error });
  });
  if (file === undefined) return { ...mount, options };
  try {
    try {
      await file.truncate(size);
    } finally {
      await file.close();
    }
    await promisify(execFile)(program, [...words, source], { signal, timeout: MKFS_TIMEOUT, killSignal: 'SIGKILL' });
  } catch (error) {
    await rm(source, { force: true });
    signal.throwIfAborted();
    if (errnoCode(error) === 'ENOENT') {
      throw failedPrecondition(`${program} is not installed; it is needed to make "${source}"`, { cause: error });
    }
    throw new Failure('unknown', `failed format "${source}": ${text(error)}`, { cause: error });
  }
  return { ...mount, options };
}

function command(system: string, uuid: string | undefined): [program: string, words: string[]] {
  if (uuid !== undefined && !/^[0-9a-fA-F-]{36}$/.test(uuid)) throw invalidArgument(`bad option uuid: ${uuid}`);
  if (/^ext[234]$/.test(system)) return [`mkfs.${system}`, ['-q', ...(uuid === undefined ? [] : ['-U', uuid])]];
  if (system === 'xfs') return ['mkfs.xfs', ['-q', ...(uuid === undefined ? [] : ['-m', `uuid=${uuid}`])]];
  throw invalidArgument(`unsupported filesystem ${JSON.stringify(system)}`);
}

/** `100MiB`, `1g`, `4096`: multiples of 1024, as containerd reads them. */
function bytes(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? [];
  const size = Math.floor(Number(number) * 1024 ** ' kmgtp'.indexOf(unit.toLowerCase() || ' '));
  if (number === '' || size <= 0) throw invalidArgument('mkfs requires mkfs.size option, such as 100MiB');
  return size;
}

/** The options without the prefix, and the others. */
function partition(options: readonly string[], prefix: string): [ours: string[], others: string[]] {
  const ours = options.filter((option) => option.startsWith(prefix)).map((option) => option.slice(prefix.length));
  return [ours, options.filter((option) => !option.startsWith(prefix))];
}

/** Throws `not implemented` for a path below none of `roots`, `failed precondition` when a part of it is no folder. */
async function checkPath(wanted: string, roots: readonly string[], what: string): Promise<void> {
  const root = roots.find((each) => wanted.startsWith(`${each}/`) && path.normalize(wanted) === wanted);
  if (root === undefined) throw notImplemented(`no root ${JSON.stringify(wanted)} configured for ${what}`);
  let at = root;
  for (const part of path.relative(root, path.dirname(wanted)).split('/')) {
    if (part === '') continue;
    at = `${at}/${part}`;
    const found = await lstat(at).catch((error: unknown) => {
      throw new Failure('unknown', `failed to stat "${wanted}": ${text(error)}`, { cause: error });
    });
    if (!found.isDirectory()) throw failedPrecondition(`${what} of "${wanted}": "${at}" is no directory`);
  }
}

function text(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n').filter(Boolean).at(-1) ?? '') : String(error);
}
