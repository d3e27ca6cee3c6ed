// The addon's typed face: the only way to davit.node. Loaded at the first use, not at import.
//
// Every function runs on a thread of its own and holds neither the event loop nor libuv's pool. What
// fails is a NativeError: `code` is the errno's name as for Node's own errors, or null.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, utimes } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  AppliedLayer,
  ApplyLayerOptions,
  ArchiveMember,
  CancelHandle,
  CopyInOptions,
  CopyOutOptions,
  CopyPartOptions,
  DiffLayerOptions,
  ErofsImage,
  MakeErofsOptions,
  MountEntry,
  Native,
  NativeMount,
  NativeOutcome,
  OverlaySupport,
  RecompressOptions,
  SettleLayerOptions,
  TreeUsage,
  WrittenLayer,
} from './native.d.ts';

export type {
  AppliedLayer,
  ApplyLayerOptions,
  ArchiveMember,
  DiffLayerOptions,
  ErofsImage,
  MakeErofsOptions,
  MountEntry,
  NativeError,
  NativeMount,
  NativeOutcome,
  OverlaySupport,
  TreeUsage,
  WrittenLayer,
} from './native.d.ts';

let loaded: Native | undefined;

/** $DAVIT_ADDON; else beside the bundled program; from the sources or from dist/, in the checkout's bin/. */
function find(): string | undefined {
  const given = process.env['DAVIT_ADDON'];
  if (given !== undefined && given !== '') return given;
  const here = path.dirname(fileURLToPath(import.meta.url));
  const candidates = ['davit.node', '../../bin/davit.node', '../../../bin/davit.node'];
  return candidates.map((candidate) => path.join(here, candidate)).find((file) => existsSync(file));
}

function native(): Native {
  if (loaded !== undefined) return loaded;
  const file = find();
  if (file === undefined) throw new Error('davit.node is not built: run `make native`');
  loaded = createRequire(import.meta.url)(file) as Native;
  return loaded;
}

/** Runs `work` so that `signal` stops it; a stopped one rejects with the signal's reason. */
async function cancellable<T>(signal: AbortSignal | undefined, work: (cancel: CancelHandle) => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const handle = new (native().CancelHandle)();
  const stop = (): void => handle.cancel();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await work(handle);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** How long a busy mount is tried again before unmounting fails. */
const UNMOUNT_PATIENCE_MS = 2000;

/** Mounts all in order on `target`, which exists; undoes them when one fails. */
export async function mountAll(mounts: readonly NativeMount[], target: string): Promise<void> {
  await native().mountAll({ mounts, target });
}

/** Undoes the topmost mount on `target`; EINVAL when there is none. `detach`: even if it is busy. */
export async function unmount(target: string, { detach = false } = {}): Promise<void> {
  await native().unmount({ target, detach, patienceMs: UNMOUNT_PATIENCE_MS });
}

/** Undoes all mounts on `target`; none, or no such path, is fine. */
export async function unmountAll(target: string, { detach = false } = {}): Promise<void> {
  await native().unmountAll({ target, detach, patienceMs: UNMOUNT_PATIENCE_MS });
}

/** Attaches a file to a free loop device, which stays until detachLoop(); `link` is made and leads to it. */
export async function attachLoop(file: string, link: string, { readOnly = false } = {}): Promise<void> {
  await native().attachLoop({ file, link, readOnly });
}

/** Detaches what attachLoop() left at `link`, and removes that; none is fine, and so is a device of somebody else. */
export async function detachLoop(link: string): Promise<void> {
  await native().detachLoop({ link });
}

/** The mount that `path` is on. */
export async function lookupMount(path: string): Promise<MountEntry> {
  return native().lookupMount({ path });
}

/** All mounts of this process's namespace, in the kernel's order. */
export async function listMounts(): Promise<MountEntry[]> {
  return native().listMounts();
}

/** Whether the file system of `directory` can hold an overlay's layers: tries it, in a folder of its own. */
export async function probeOverlay(directory: string): Promise<OverlaySupport> {
  return native().probeOverlay({ directory });
}

/**
 * Unpacks a layer into a folder. Its content is not trusted: nothing outside of the folder is
 * touched. After a failure the folder holds a part and is to be thrown away. `EBADMSG`: not a whole, valid
 * archive; `EFBIG`: beyond a limit.
 */
export function applyLayer(options: ApplyLayerOptions, signal?: AbortSignal): Promise<AppliedLayer> {
  return cancellable(signal, (cancel) => native().applyLayer({ ...options, cancel }));
}

/** Makes a layer that was applied with empty `lowers` what it would be on top of these. False: it cannot, and is to be thrown away. */
export function settleLayer(options: SettleLayerOptions, signal?: AbortSignal): Promise<boolean> {
  return cancellable(signal, (cancel) => native().settleLayer({ ...options, cancel }));
}

/**
 * Writes what `right` has changed since `left` as a layer into `file`, which exists and is emptied
 * first. `ENOTSUP`: an overlay's own marks are not enough here, compare mounted trees instead.
 */
export function diffLayer(options: DiffLayerOptions, signal?: AbortSignal): Promise<WrittenLayer> {
  return cancellable(signal, (cancel) => native().diffLayer({ ...options, cancel }));
}

/** Writes the same layer, compressed in another way, into `file`, which exists and is emptied first. */
export function recompressLayer(options: RecompressOptions, signal?: AbortSignal): Promise<WrittenLayer> {
  return cancellable(signal, (cancel) => native().recompressLayer({ ...options, cancel }));
}

/**
 * What is where in an uncompressed tar archive, such as an image's; its members' data is not read. `EBADMSG`: not
 * one; `EFBIG`: more members; `ENAMETOOLONG`; `ENOTSUP`: with a sparse file, whose data is not in one piece.
 */
export function listArchive(file: string, maxMembers: number, signal?: AbortSignal): Promise<ArchiveMember[]> {
  return cancellable(signal, (cancel) => native().listArchive({ file, maxMembers, cancel }));
}

/** Appends a part of one file to another; resolves with the part's `sha256:...`. `EBADMSG`: the file ends before. */
export function copyPart(options: CopyPartOptions, signal?: AbortSignal): Promise<string> {
  return cancellable(signal, (cancel) => native().copyPart({ ...options, cancel }));
}

/**
 * Writes a directory as an EROFS image: types, owners, modes, times to the nanosecond, devices, hard links, holes
 * and attributes, overlayfs's marks too. Nothing is synced. `EFBIG`, `E2BIG`: more than EROFS can hold.
 */
export function makeErofs(options: MakeErofsOptions, signal?: AbortSignal): Promise<ErofsImage> {
  return cancellable(signal, (cancel) => native().makeErofs({ ...options, cancel }));
}

export interface LayerToConvert {
  /** Path of a tar layer's blob; its content tells how it is compressed. */
  readonly blob: string;
  /** The image: made, or emptied first. */
  readonly file: string;
  /** A folder that does not exist, on a file system with room for the unpacked layer; gone afterwards in any case. */
  readonly scratch: string;
  /** Limits of the unpacked layer: bytes, entries. */
  readonly maxSize: bigint | number;
  readonly maxEntries: bigint | number;
}

/**
 * Converts a tar layer to an EROFS layer: whiteouts become overlayfs's. A directory that an entry needs and the
 * layer does not describe is root's with mode 0755 and of now, whatever lower layers say of it; else one layer gives
 * the same bytes every time. Needs root, and a file system that holds trusted attributes and devices. Fails as
 * applyLayer() and makeErofs() do.
 */
export async function layerToErofs(layer: LayerToConvert, signal?: AbortSignal): Promise<ErofsImage> {
  const { blob, file, scratch, maxSize, maxEntries } = layer;
  const root = path.join(scratch, 'root');
  await mkdir(scratch, { mode: 0o700 });
  try {
    await mkdir(root, { mode: 0o755 });
    const place = { root, lowers: [], userXattr: false, sync: false };
    await applyLayer({ blob, offset: 0, length: null, compression: 'detect', ...place, maxSize, maxEntries }, signal);
    // No layer describes its root: one image for one layer.
    await utimes(root, 0, 0);
    return await makeErofs({ root, file, epoch: null, digest: true }, signal);
  } finally {
    await removeTree(scratch);
  }
}

/** The archive of a path, as it is made. Leaving the loop ends the work. `ENOENT`: there is no such path. */
export async function* copyOut(options: CopyOutOptions, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const { read, write } = native().openPipe();
  const socket = new Socket({ fd: read, readable: true, writable: false });
  const work = cancellable(signal, (cancel) => native().copyOut({ ...options, fd: write, cancel }));
  work.catch(() => undefined);
  try {
    for await (const chunk of socket) yield chunk as Buffer;
    await work;
  } finally {
    socket.destroy();
    await work.catch(() => undefined);
  }
}

/**
 * Writes the files of an archive, compressed or not. `ENOENT`, `ENOTDIR`: the path is no directory; `EISDIR`: a
 * directory is in the way; `EBADMSG`: not an archive. After a failure a part is there.
 */
export async function copyIn(
  options: CopyInOptions,
  bytes: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const { read, write } = native().openPipe();
  const socket = new Socket({ fd: write, readable: false, writable: true });
  // That nobody reads any more is told by the work itself.
  socket.on('error', () => undefined);
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  let failed = false;
  const work = cancellable(stopped, (cancel) => native().copyIn({ ...options, fd: read, cancel }));
  const ended = work.catch(() => (failed = true));
  try {
    for await (const chunk of bytes) {
      if (failed) break;
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close'), ended]);
    }
    socket.end();
  } catch (error) {
    // An archive that ends early is not to look like a whole one.
    if (!failed) stop.abort(error);
    throw failed
      ? await work.then(
          () => error,
          (reason: unknown) => reason,
        )
      : error;
  } finally {
    if (stop.signal.aborted || failed) socket.destroy();
    await ended;
  }
  await work;
}

/**
 * Removes `path` and all below it; nothing happens when it is absent. Follows no link and enters no
 * mount: one below is EBUSY. EPERM: something is immutable.
 */
export function removeTree(path: string, signal?: AbortSignal): Promise<void> {
  return cancellable(signal, (cancel) => native().removeTree({ path, cancel }));
}

/**
 * Copies all below `from`, and its own owner, mode, attributes and times, into the empty folder `to`:
 * hard links and holes as they are, content shared where the file system can.
 */
export function copyTree(from: string, to: string, signal?: AbortSignal): Promise<void> {
  return cancellable(signal, (cancel) => native().copyTree({ from, to, cancel }));
}

/**
 * Disk space and inodes below and including `path`; hard links count once, what vanishes does not. With `base`, which
 * `path` was a btrfs snapshot of: without the files that have the same number and change time there, at the same path.
 */
export function diskUsage(path: string, signal?: AbortSignal, base: string | null = null): Promise<TreeUsage> {
  return cancellable(signal, (cancel) => native().diskUsage({ path, base, cancel }));
}

/** Resolves when the file system that `path` is on has written everything. */
export async function syncFileSystem(path: string): Promise<void> {
  await native().syncFileSystem({ path });
}

/** Makes an empty btrfs subvolume. */
export async function createSubvolume(path: string): Promise<void> {
  await native().createSubvolume({ path });
}

/** Makes `to` a snapshot of the btrfs subvolume `from`. */
export async function snapshotSubvolume(from: string, to: string, readOnly: boolean): Promise<void> {
  await native().snapshotSubvolume({ from, to, readOnly });
}

/** Removes a btrfs subvolume with all that is in it. `ENOTEMPTY`: there is another one within it. */
export async function removeSubvolume(path: string): Promise<void> {
  await native().removeSubvolume({ path });
}

export interface ProgramToRun {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** The caller's when left out. */
  readonly cwd?: string;
  readonly input?: Uint8Array;
  readonly timeoutMs: number;
}

/**
 * Runs a program to its end, in a session of its own. Costs the event loop no copy of this process,
 * however large it is. Of each output 1 MiB is kept. On timeout its process group is killed.
 */
export async function runProgram({ file, args, env, cwd, input, timeoutMs }: ProgramToRun): Promise<NativeOutcome> {
  const words: string[] = [];
  for (const name in env) if (env[name] !== undefined) words.push(`${name}=${env[name]}`);
  return native().runProgram({
    file,
    argv: [path.basename(file), ...args],
    env: words,
    cwd: cwd ?? null,
    input: input ?? null,
    timeoutMs,
  });
}

/**
 * Kills the processes that have this program's name and all these flags, each followed by its value, on their
 * command line. Resolves with the pids of those that have ended within the time.
 */
export async function endProcesses(
  program: string,
  words: readonly string[],
  timeoutMs: number,
): Promise<readonly number[]> {
  return native().endProcesses({ program, words, timeoutMs });
}

/**
 * Sends each unix socket (an abstract one's name after `@`) one ttrpc frame over a connection of its own, and resolves with the payloads of the
 * frames that come back; with the errno's name for whom none came from: `ETIMEDOUT` silent, `ECONNREFUSED` and
 * `ENOENT` nobody there, `ECONNRESET` gone meanwhile.
 */
export async function askAll(
  questions: readonly { readonly path: string; readonly frame: Uint8Array }[],
  timeoutMs: number,
): Promise<(Buffer | string)[]> {
  return native().askAll({ questions, timeoutMs });
}
