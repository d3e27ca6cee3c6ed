// The tasks of this daemon: created, found, deleted, and cleaned up after when their shim is lost.
//
// All that concerns one id happens in turn; ids do not wait for one another.
import type { Publisher } from '../events/api.ts';
import { alreadyExists, Failure, isAlreadyExists, isNotFound, notFound } from '../lib/errors.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import type { Logger } from '../lib/log.ts';
import { instantToWire, now } from '../lib/time.ts';
import type { Actions } from './actions.ts';
import { socketPath, type Endpoint } from './answer.ts';
import type { Exit, NewTask, RuntimeLifecycle } from './api.ts';
import { saveBinary, saveEndpoint, type Bundle, type Bundles } from './bundle.ts';
import type { RunProgram } from './program.ts';
import { eachOf, inspectBundle, type Finding } from './recover.ts';
import { isOwn, type Resolver, type Shim } from './resolve.ts';
import { followShimLog, makeShimLog } from './shim-log.ts';
import { ShimTask } from './shim-task.ts';
import { connectTtrpc, ConnectionClosed } from './ttrpc/client.ts';

export interface Timeouts {
  /** Milliseconds for: finding one shim again, one clean-up, one shim's shutdown. */
  readonly load: number;
  readonly cleanup: number;
  readonly shutdown: number;
}

export interface RuntimeDeps {
  readonly log: Logger;
  readonly events: Publisher;
  readonly actions: Actions;
  readonly bundles: Bundles;
  readonly resolver: Resolver;
  readonly run: RunProgram;
  readonly timeouts: Timeouts;
}

/** What is known under an id. Without a task: one is being made, or its remains are being removed. */
interface Entry {
  task: ShimTask | undefined;
  deleting: Promise<Exit> | undefined;
}

/** A shim that has just said that it listens is connected to at once. */
const CONNECT_TIMEOUT = 10_000;

/** Shims asked at a time after a restart, and programs run at a time to clean up. */
const RECOVERY_WIDTH = 64;
const CLEANUP_WIDTH = 4;

export function createRuntime(deps: RuntimeDeps): RuntimeLifecycle {
  const { log, actions, bundles, resolver, timeouts } = deps;
  const entries = new Map<string, Entry>();
  const keyOf = ({ namespace, id }: { namespace: string; id: string }): string => `${namespace}/${id}`;
  const about = ({ namespace, id }: { namespace: string; id: string }) => ({ namespace, id });

  async function connect(bundle: Bundle, shim: Shim, endpoint: Endpoint, timeoutMs: number): Promise<ShimTask> {
    const client = await connectTtrpc(socketPath(endpoint), timeoutMs);
    return new ShimTask(bundle, shim, client, endpoint.version);
  }

  /** From here on the end of the connection means the end of the task. */
  function adopt(task: ShimTask): void {
    task.state = 'live';
    task.onClose(() => {
      if (task.state === 'live') void lose(task);
    });
  }

  function follow(bundle: Bundle, shim: Shim): () => void {
    if (shim.own) return () => undefined;
    try {
      return followShimLog(bundle, log);
    } catch (error) {
      log.warn('log of shim cannot be read, ignoring', { ...about(bundle), error });
      return () => undefined;
    }
  }

  async function start(bundle: Bundle, shim: Shim, request: NewTask, signal: AbortSignal): Promise<ShimTask> {
    let stopLog = (): void => undefined;
    try {
      if (!shim.own) {
        await makeShimLog(bundle, deps.run);
        stopLog = follow(bundle, shim);
      }
      saveBinary(bundle, shim.path);
      const endpoint = await actions.start(shim, bundle, request.options);
      saveEndpoint(bundle, endpoint);
      signal.throwIfAborted();
      const task = await connect(bundle, shim, endpoint, CONNECT_TIMEOUT);
      task.onClose(stopLog);
      return task;
    } catch (error) {
      stopLog();
      throw wrap('failed to start shim: start failed', error);
    }
  }

  async function createIn(bundle: Bundle, shim: Shim, request: NewTask, signal: AbortSignal): Promise<ShimTask> {
    const task = await start(bundle, shim, request, signal).catch(async (error: unknown) => {
      await discard(bundle, shim, undefined);
      throw error;
    });
    try {
      const { rootfs, stdin, stdout, stderr, terminal, checkpoint, options } = request;
      const { pid } = await task.invoke(
        'Create',
        { bundle: bundle.path, rootfs, stdin, stdout, stderr, terminal, checkpoint, options },
        { signal },
      );
      task.pid = pid;
      return task;
    } catch (error) {
      await discard(bundle, shim, task);
      throw wrap('failed to create shim task', error);
    }
  }

  /** Undoes a creation that failed. Its own failures are logged: they must not hide the first one. */
  async function discard(bundle: Bundle, shim: Shim, task: ShimTask | undefined): Promise<void> {
    const timeoutMs = timeouts.cleanup;
    try {
      if (task === undefined) {
        await actions
          .delete(shim, bundle)
          .catch((error: unknown) => log.debug('clean-up after failed start', { ...about(bundle), error }));
      } else {
        await end(task, timeoutMs).catch(async (error: unknown) => {
          log.debug('shim of failed creation did not end by itself', { ...about(bundle), error });
          await actions.delete(shim, bundle);
        });
      }
    } catch (error) {
      log.error('clean-up after failed creation failed, the shim might be leaked', { ...about(bundle), error });
    }
    task?.finish('deleted', { pid: task.pid, status: 255, exitedAt: instantToWire(now()) });
    await removeBundle(bundle);
  }

  /** Kills and deletes what the shim may have created, then ends the shim. */
  async function end(task: ShimTask, timeoutMs: number): Promise<void> {
    const ignoreMissing = (error: unknown): void => {
      if (!isNotFound(error)) throw error;
    };
    await task.invoke('Delete', { exec_id: '' }, { timeoutMs }).catch(async (error: unknown) => {
      if (isNotFound(error)) return;
      await task.invoke('Kill', { exec_id: '', signal: 9, all: true }, { timeoutMs }).catch(ignoreMissing);
      await task.invoke('Wait', { exec_id: '' }, { timeoutMs }).catch(ignoreMissing);
      await task.invoke('Delete', { exec_id: '' }, { timeoutMs }).catch(ignoreMissing);
    });
    await shutdown(task);
  }

  async function shutdown(task: ShimTask): Promise<void> {
    try {
      await task.invoke('Shutdown', { now: false }, { timeoutMs: timeouts.shutdown });
    } catch (error) {
      if (error instanceof ConnectionClosed) return;
      log.error('failed to shut down shim, it might be leaked', { ...about(task), error });
    }
  }

  async function removeBundle(bundle: Bundle): Promise<void> {
    try {
      await bundles.remove(bundle);
    } catch (error) {
      log.error('failed to remove bundle', { ...about(bundle), error });
    }
  }

  /** The shim went away by itself: its program cleans up, and who listens is told how it ended. */
  async function lose(task: ShimTask): Promise<void> {
    task.state = 'lost';
    log.warn('shim disconnected, cleaning up after it', about(task));
    const exit = await cleanUp(task.folder, task.shim, task.pid);
    report(task, exit);
    entries.delete(keyOf(task));
    task.finish('lost', exit);
  }

  async function cleanUp(bundle: Bundle, shim: Shim, pid: number): Promise<Exit> {
    let exit: Exit = { pid, status: 255, exitedAt: instantToWire(now()) };
    try {
      const found = await actions.delete(shim, bundle);
      exit = { pid: found.pid || pid, status: found.status, exitedAt: found.exitedAt ?? exit.exitedAt };
    } catch (error) {
      log.error('failed to clean up after dead shim', { ...about(bundle), error });
    }
    await removeBundle(bundle);
    return exit;
  }

  function report({ namespace, id }: { namespace: string; id: string }, { pid, status, exitedAt }: Exit): void {
    const exit = { container_id: id, pid, exit_status: status, exited_at: exitedAt };
    deps.events.publish(namespace, '/tasks/exit', 'containerd.events.TaskExit', { ...exit, id });
    deps.events.publish(namespace, '/tasks/delete', 'containerd.events.TaskDelete', exit);
  }

  async function deleteTask(task: ShimTask): Promise<Exit> {
    let exit: Exit = { pid: task.pid, status: 255, exitedAt: instantToWire(now()) };
    let missing: unknown;
    try {
      const { pid, exit_status, exited_at } = await task.invoke('Delete', { exec_id: '' });
      exit = { pid, status: exit_status, exitedAt: exited_at };
    } catch (error) {
      if (error instanceof ConnectionClosed) return task.ended;
      if (!isNotFound(error)) throw error;
      missing = error;
    }
    // Told by the shim: the end of the connection is no news from here on.
    task.state = 'deleted';
    await shutdown(task);
    await removeBundle(task.folder);
    entries.delete(keyOf(task));
    task.finish('deleted', exit);
    if (missing !== undefined) throw missing;
    return exit;
  }

  async function settle(bundle: Bundle, finding: Finding): Promise<void> {
    switch (finding.kind) {
      case 'alive':
        entries.set(keyOf(bundle), { task: finding.task, deleting: undefined });
        adopt(finding.task);
        if (finding.silent === undefined) log.info('recovered task', { ...about(bundle), pid: finding.task.pid });
        else log.warn('recovered task, but its shim does not answer', { ...about(bundle), error: finding.silent });
        return;
      case 'empty':
        log.info('removing shim that has no task', about(bundle));
        finding.task.state = 'deleted';
        await shutdown(finding.task);
        finding.task.finish('deleted', { pid: 0, status: 255, exitedAt: null });
        await removeBundle(bundle);
        return;
      case 'unused':
        log.info('removing bundle that no shim was started in', about(bundle));
        await removeBundle(bundle);
        return;
      case 'dead': {
        const shim = { path: finding.binary, own: isOwn(finding.binary) };
        const exit = await cleanUp(bundle, shim, 0);
        log.warn('cleaned up after task whose shim is dead', {
          ...about(bundle),
          status: exit.status,
          reason: finding.reason,
        });
        if (finding.created) report(bundle, exit);
      }
    }
  }

  return {
    async create(request, signal) {
      validateIdentifier(request.namespace);
      validateIdentifier(request.id);
      const key = keyOf(request);
      if (entries.has(key)) throw alreadyExists(`task ${request.id}`);
      const entry: Entry = { task: undefined, deleting: undefined };
      entries.set(key, entry);
      try {
        const shim = resolver.resolve(request.runtime);
        const bundle = await freshBundle(bundles, request);
        const task = await createIn(bundle, shim, request, signal);
        entry.task = task;
        adopt(task);
        return task;
      } catch (error) {
        entries.delete(key);
        throw error;
      }
    },

    get(namespace, id) {
      return entries.get(`${namespace}/${id}`)?.task;
    },

    list(namespace) {
      return tasksOf(entries).filter((task) => task.namespace === namespace);
    },

    all() {
      return tasksOf(entries);
    },

    async delete(namespace, id) {
      for (;;) {
        const entry = entries.get(`${namespace}/${id}`);
        if (entry?.task === undefined) throw notFound(`task ${id}`);
        if (entry.deleting === undefined) {
          entry.deleting = deleteTask(entry.task).finally(() => (entry.deleting = undefined));
          return entry.deleting;
        }
        await entry.deleting.catch(() => undefined);
      }
    },

    async info(runtime, options) {
      return actions.info(resolver.resolve(runtime), options);
    },

    async recover() {
      const found: [Bundle, Finding][] = [];
      const inspect = {
        connect: async (bundle: Bundle, binary: string, endpoint: Endpoint, timeoutMs: number) => {
          const shim = { path: binary, own: isOwn(binary) };
          const task = await connect(bundle, shim, endpoint, timeoutMs);
          task.onClose(follow(bundle, shim));
          return task;
        },
        timeoutMs: timeouts.load,
      };
      const all = bundles.list();
      await eachOf(
        all,
        RECOVERY_WIDTH,
        async (bundle) => void found.push([bundle, await inspectBundle(bundle, inspect)]),
      );
      await eachOf(found, CLEANUP_WIDTH, ([bundle, finding]) =>
        settle(bundle, finding).catch((error: unknown) =>
          log.error('failed to recover task', { ...about(bundle), error }),
        ),
      );
    },

    async close() {
      for (const task of tasksOf(entries)) task.leave();
    },
  };
}

function tasksOf(entries: ReadonlyMap<string, Entry>): ShimTask[] {
  const tasks: ShimTask[] = [];
  for (const { task } of entries.values()) if (task !== undefined) tasks.push(task);
  return tasks;
}

/** A bundle without an entry is what a failed removal left: it is removed now. */
async function freshBundle(bundles: Bundles, { namespace, id, spec }: NewTask): Promise<Bundle> {
  try {
    return bundles.create(namespace, id, spec);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    await bundles.remove(bundles.at(namespace, id));
    return bundles.create(namespace, id, spec);
  }
}

function wrap(context: string, error: unknown): unknown {
  if (error instanceof ConnectionClosed)
    return new Failure('unavailable', `${context}: the shim ended: unavailable`, { cause: error });
  return error instanceof Failure ? error.in(context) : error;
}
