// Bundles: the folders that shims are started in, and what a restarted daemon finds its tasks by.
//
//   <state>/tasks/<namespace>/<id>/
//     config.json         the OCI spec, as the client gave it
//     rootfs/             where the shim mounts the container's root
//     shim                link to the shim's program; made before it is started
//     address             where our shim listens; written by itself
//     bootstrap.json      where another shim listens; written when it answered
//     exited              subscribers were told of the task's exit; empty
//     deleted             the task is deleted, and who asked is being told; empty
//     log                 the FIFO that shims write their log to (shim-log.ts)
//
// A folder whose name begins with a dot is a bundle that is being removed. Files are written without
// sync, and with synchronous calls: the folder is most often in memory (/run), where a call takes
// less than its hand-over to another thread, and nothing in it outlives a reboot. Removal is left to
// other threads, for on a disk it waits for the journal.
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readdir, rm, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { alreadyExists, errnoCode, Failure } from '../lib/errors.ts';
import { fromText, type Endpoint } from './answer.ts';

export interface Bundle {
  readonly namespace: string;
  readonly id: string;
  readonly path: string;
}

export interface BundlesDeps {
  /** `<state>/tasks`. */
  readonly folder: string;
  /** Unmounts everything at and below a path, lazily where it is busy. */
  readonly unmount: (path: string) => Promise<void>;
  /** Told of what could not be removed in the background; it is tried again at the next start. */
  readonly failed: (error: unknown) => void;
}

export interface Bundles {
  /** Where a task's bundle is, or would be. */
  at(namespace: string, id: string): Bundle;
  /** `already exists` when there is one. Nothing is left when it fails. */
  create(namespace: string, id: string, spec: Uint8Array | undefined): Bundle;
  /**
   * Unmounts what is mounted on its root and takes the bundle away; what it takes on disk goes in the
   * background. Nothing happens when there is none.
   */
  remove(bundle: Bundle): Promise<void>;
  /** All bundles on disk. Those whose removal was interrupted are none any more, and go in the background. */
  list(): Bundle[];
  /** Resolves when nothing is left of what was removed, or could not be and was told to `failed`. */
  settled(): Promise<void>;
}

export function createBundles({ folder, unmount, failed }: BundlesDeps): Bundles {
  const removing = new Map<string, Promise<void>>();
  let removals = 0;
  const removeHidden = (hidden: string): void => {
    if (removing.has(hidden)) return;
    const removal = removeFolder(hidden, unmount)
      .catch(failed)
      .finally(() => removing.delete(hidden));
    removing.set(hidden, removal);
  };
  const at = (namespace: string, id: string): Bundle => ({ namespace, id, path: path.join(folder, namespace, id) });

  return {
    at,

    create(namespace, id, spec) {
      const bundle = at(namespace, id);
      makeFolder(bundle);
      try {
        mkdirSync(path.join(bundle.path, 'rootfs'), 0o711);
        if (spec !== undefined) {
          writeFileSync(path.join(bundle.path, 'config.json'), spec, { mode: 0o600 });
          shareWithMappedRoot(bundle, spec);
        }
      } catch (error) {
        removeUnused(bundle.path);
        throw error;
      }
      return bundle;
    },

    async remove(bundle) {
      const rootfs = path.join(bundle.path, 'rootfs');
      if (isMounted(rootfs, bundle.path)) await unmount(rootfs);
      const hidden = path.join(path.dirname(bundle.path), `.${bundle.id}.${process.pid}.${removals++}`);
      try {
        renameSync(bundle.path, hidden);
      } catch (error) {
        if (errnoCode(error) === 'ENOENT') return;
        throw error;
      }
      removeHidden(hidden);
    },

    list() {
      const bundles: Bundle[] = [];
      for (const namespace of folders(folder)) {
        for (const id of folders(path.join(folder, namespace))) {
          if (id.startsWith('.')) removeHidden(path.join(folder, namespace, id));
          else bundles.push(at(namespace, id));
        }
        removeIfEmpty(path.join(folder, namespace));
      }
      return bundles;
    },

    async settled() {
      await Promise.all(removing.values());
      for (const namespace of folders(folder)) removeIfEmpty(path.join(folder, namespace));
    },
  };
}

/** Removes a bundle that was just being made: without opening anything, for descriptors may be what is missing. */
function removeUnused(folder: string): void {
  rmSync(path.join(folder, 'config.json'), { force: true });
  const rootfs = path.join(folder, 'rootfs');
  for (const made of [rootfs, folder]) if (existsSync(made)) rmdirSync(made);
}

/** Removes a bundle that nobody knows any more; never what is mounted on its root. */
async function removeFolder(folder: string, unmount: BundlesDeps['unmount']): Promise<void> {
  const rootfs = path.join(folder, 'rootfs');
  if (!(await removeEmpty(rootfs))) {
    await unmount(rootfs);
    // Never deeper than this: what is still in there may be somebody's data.
    if (!(await removeEmpty(rootfs))) {
      throw new Failure('internal', `bundle "${folder}": its rootfs is still mounted or not empty: internal`);
    }
  }
  const entries = await readdir(folder, { withFileTypes: true });
  await Promise.all(
    entries.map((entry) => {
      const file = path.join(folder, entry.name);
      return entry.isDirectory() ? rm(file, { recursive: true, force: true }) : unlink(file);
    }),
  );
  await rmdir(folder);
}

/** False for a bind mount from the same file system: it shows when the root is removed. */
function isMounted(rootfs: string, parent: string): boolean {
  const [root, folder] = [rootfs, parent].map((file) => statSync(file, { throwIfNoEntry: false }));
  return root !== undefined && folder !== undefined && root.dev !== folder.dev;
}

function makeFolder(bundle: Bundle): void {
  try {
    mkdirSync(bundle.path, 0o700);
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') throw alreadyExists(`bundle "${bundle.path}"`, { cause: error });
    if (errnoCode(error) !== 'ENOENT') throw error;
    mkdirSync(path.dirname(bundle.path), { recursive: true, mode: 0o711 });
    mkdirSync(bundle.path, 0o700);
  }
}

/** With a user namespace, its root must be able to walk through the bundle to the root file system. */
function shareWithMappedRoot(bundle: Bundle, spec: Uint8Array): void {
  const text = Buffer.from(spec.buffer, spec.byteOffset, spec.byteLength);
  if (!text.includes('"gidMappings"')) return;
  const gid = mappedRoot(JSON.parse(text.toString('utf8')) as SpecWithMappings);
  if (gid === undefined) return;
  chownSync(bundle.path, 0, gid);
  chmodSync(bundle.path, 0o710);
}

interface SpecWithMappings {
  readonly linux?: { readonly gidMappings?: readonly { readonly containerID?: number; readonly hostID?: number }[] };
}

function mappedRoot(spec: SpecWithMappings): number | undefined {
  const mapping = spec.linux?.gidMappings?.find(({ containerID }) => (containerID ?? 0) === 0);
  return mapping?.hostID === 0 ? undefined : mapping?.hostID;
}

/** False when it is mounted upon or holds something; true when it is gone. */
async function removeEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') return true;
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return false;
    throw error;
  }
}

/** A namespace's folder stays while there is a bundle in it. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (errnoCode(error) !== 'ENOTEMPTY') throw error;
  }
}

function folders(parent: string): string[] {
  try {
    return readdirSync(parent, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}

export function saveBinary(bundle: Bundle, binary: string): void {
  symlinkSync(binary, path.join(bundle.path, 'shim'));
}

export function saveEndpoint(bundle: Bundle, endpoint: Endpoint): void {
  writeFileSync(path.join(bundle.path, 'bootstrap.json'), JSON.stringify(endpoint), { mode: 0o600 });
}

/** Undefined when the bundle was left before the shim was chosen. */
export function loadBinary(bundle: Bundle): string | undefined {
  try {
    return readlinkSync(path.join(bundle.path, 'shim'));
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Where the bundle's shim listens. Undefined when it never answered. */
export function loadEndpoint(bundle: Bundle, own: boolean): Endpoint | undefined {
  // Our shim, as many others, writes the address itself.
  const files = own ? ['address', 'bootstrap.json'] : ['bootstrap.json', 'address'];
  const text = readText(bundle, files[0] as string) ?? readText(bundle, files[1] as string);
  if (text === undefined) return undefined;
  try {
    return fromText(text);
  } catch {
    // Cut short by a crash while it was written: as if it had not been.
    return undefined;
  }
}

/** What was told of a bundle's task, for a daemon that finds the bundle without its shim: it tells nothing twice. */
export type Told = 'exited' | 'deleted';

export function noteTold(bundle: Bundle, what: Told): void {
  closeSync(openSync(path.join(bundle.path, what), 'w', 0o600));
}

export function wasTold(bundle: Bundle, what: Told): boolean {
  return existsSync(path.join(bundle.path, what));
}

function readText(bundle: Bundle, name: string): string | undefined {
  try {
    const text = readFileSync(path.join(bundle.path, name), 'utf8').trim();
    return text === '' ? undefined : text;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
