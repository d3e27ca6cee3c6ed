// Files of a container by way of its root: that of its first process while it runs, volumes included, else its
// snapshot, mounted for the call. Native code does the work, by descriptor; a path is never a string for it.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { copyIn, copyOut } from '../../native/addon/index.ts';
import { Status } from '../../proto/gen/containerd.v1.types.ts';
import type { Container, Containers } from '../containers/api.ts';
import { errnoCode, Failure, failedPrecondition, invalidArgument, isNotFound, notFound } from '../lib/errors.ts';
import type { Mount } from '../lib/mount.ts';
import type { TemporaryMounts } from '../mounts/api.ts';
import type { Runtime, Task } from '../runtime/api.ts';
import type { ContainerPlace, Copies } from './api.ts';
import { idMapsOf, type IdMaps } from './id-maps.ts';

export interface CopiesDeps {
  readonly containers: Containers;
  readonly runtime: Pick<Runtime, 'get'>;
  readonly mounts: TemporaryMounts;
  /** The mounts of a container's root file system, as its shim would get them. Throws `not found`. */
  readonly rootfs: (namespace: string, container: Container) => Promise<readonly Mount[]>;
}

/** Of fcntl.h; Node does not name it. */
const O_PATH = 0o10000000;

export function createCopies({ containers, runtime, mounts, rootfs }: CopiesDeps): Copies {
  async function inRoot(
    namespace: string,
    { container: id, path }: ContainerPlace,
    signal: AbortSignal,
    work: (root: string, ids: IdMaps | null) => Promise<void>,
  ): Promise<void> {
    const container = containers.get(namespace, id);
    const ids = idMapsOf(container.spec.value);
    const run = async (root: string): Promise<void> => {
      try {
        await work(root, ids);
      } catch (error) {
        signal.throwIfAborted();
        throw classified(error, id, path);
      }
    };
    const task = runtime.get(namespace, id);
    const live = task === undefined ? undefined : await openRoot(task, signal);
    if (live === undefined) return await mounts.withMounted(await rootfs(namespace, container), run);
    try {
      await run(`/proc/self/fd/${live.fd}`);
    } finally {
      await live.close();
    }
  }

  return {
    read(namespace, from, send, signal) {
      const { path, walk } = from;
      // The link at the end is meant itself, unless something follows it.
      const follow = /(^|\/)\.?$/.test(path);
      const base = path.split('/').filter(Boolean).at(-1) ?? '.';
      const name = base === '..' ? '.' : base;
      return inRoot(namespace, from, signal, (root, ids) =>
        send(copyOut({ root, path, follow, walk, name, ids }, signal)),
      );
    },
    write(namespace, to, bytes, signal) {
      const owner = to.preserve ? null : { uid: 0, gid: 0 };
      return inRoot(namespace, to, signal, (root, ids) =>
        copyIn({ root, path: to.path, as: null, owner, devices: true, ids }, bytes, signal),
      );
    },
  };
}

/**
 * The root of a task's first process. The process is asked for again afterwards: as long as it lives, nobody else
 * has its pid. Undefined when it does not run.
 */
async function openRoot(task: Task, signal: AbortSignal) {
  const before = await runningPid(task, signal);
  if (before === undefined) return undefined;
  let root;
  try {
    root = await open(`/proc/${before}/root`, constants.O_RDONLY | constants.O_DIRECTORY | O_PATH);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'EACCES') return undefined;
    throw error;
  }
  try {
    if ((await runningPid(task, signal)) === before) return root;
  } catch (error) {
    await root.close();
    throw error;
  }
  await root.close();
  return undefined;
}

async function runningPid(task: Task, signal: AbortSignal): Promise<number | undefined> {
  try {
    const { pid, status } = await task.call('State', { exec_id: '' }, { signal });
    return status === Status.STOPPED || pid === 0 ? undefined : pid;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function classified(error: unknown, id: string, path: string): unknown {
  if (error instanceof Failure || !(error instanceof Error) || !('code' in error)) return error;
  const what = `container "${id}": ${error.message}`;
  switch (error.code) {
    case 'ENOENT':
      return notFound(`container "${id}": path "${path}"`, { cause: error });
    case 'EBADMSG':
    case 'ENAMETOOLONG':
      return invalidArgument(what, { cause: error });
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EROFS':
    case 'EBUSY':
    case 'ELOOP':
      return failedPrecondition(what, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new Failure('resource exhausted', `${what}: resource exhausted`, { cause: error });
    default:
      return new Failure('unknown', what, { cause: error });
  }
}
