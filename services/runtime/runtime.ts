// The tasks of this daemon: created, found, deleted, and cleaned up after when their shim is lost.
//
// All that concerns one id happens in turn; ids do not wait for one another.
import { codec } from '../../proto/messages.ts';
import type { TaskExit } from '../../proto/gen/containerd.events.ts';
import type { Publisher } from '../events/api.ts';
import { alreadyExists, Failure, isAlreadyExists, isNotFound, notFound } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import { createLimit } from '../lib/limit.ts';
import type { Logger } from '../lib/log.ts';
import type { Recovery } from '../lib/recovery.ts';
import type { Actions } from './actions.ts';
import { socketPath } from './answer.ts';
import type { Exit, NewTask, RuntimeLifecycle } from './api.ts';
import { noteTold, saveBinary, saveEndpoint, wasTold, type Bundle, type Bundles, type Told } from './bundle.ts';
import { createCleanup, unknownExit } from './cleanup.ts';
import { createAskAll, type AskAll } from './ask-all.ts';
import { recoverTasks } from './recover.ts';
import type { Resolver, Shim } from './resolve.ts';
import type { ShimLog } from './shim-log.ts';
import type { SocketFolder } from './socket-folder.ts';
import { abortable, ShimTask, type Found } from './shim-task.ts';
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
  readonly shimLog: Pick<ShimLog, 'link'>;
  readonly sockets: Pick<SocketFolder, 'sweep'>;
  readonly recovery: Recovery;
  /** As the addon's function of this name. */
  readonly askAll: AskAll;
  readonly timeouts: Timeouts;
}

/** What is known under an id. Without a task: one is being made, or its remains are being removed. */
interface Entry {
  task: ShimTask | undefined;
  deleting: Promise<Exit> | undefined;
}

/** A shim that has just said that it listens is connected to at once. */
const CONNECT_TIMEOUT = 10_000;

/** Programs run at a time to clean up after lost shims. */
const CLEANUP_WIDTH = 4;

const exits = codec<TaskExit>('containerd.events.TaskExit');

export function createRuntime(deps: RuntimeDeps): RuntimeLifecycle {
  const { log, actions, bundles, resolver, timeouts } = deps;
  const entries = new Map<string, Entry>();
  const limit = createLimit(CLEANUP_WIDTH);
  const callAll = createAskAll(deps.askAll);
  const cleanup = createCleanup({
    ...deps,
    isShared: (task) => tasksOf(entries).some((other) => other !== task && other.address === task.address),
  });
  const keyOf = ({ namespace, id }: { namespace: string; id: string }): string => `${namespace}/${id}`;
  const about = ({ namespace, id }: { namespace: string; id: string }) => ({ namespace, id });

  function resolve(runtime: string, context: string): Shim {
    try {
      return resolver.resolve(runtime);
    } catch (error) {
      throw wrap(context, error);
    }
  }

  function shimTask(found: Found, timeoutMs: number): ShimTask {
    const socket = socketPath(found.endpoint);
    return new ShimTask({ ...found, socket, connect: () => connectTtrpc(socket, timeoutMs) });
  }

  /** The task is found from here on, and the end of its connection is its end. */
  function adopt(task: ShimTask): ShimTask {
    entries.set(keyOf(task), { task, deleting: undefined });
    task.state = 'live';
    task.onClose(() => {
      if (task.state === 'live') void lose(task);
    });
    return task;
  }

  function forget(bundle: { namespace: string; id: string }): void {
    entries.delete(keyOf(bundle));
  }

  async function start(bundle: Bundle, shim: Shim, request: NewTask, signal: AbortSignal): Promise<ShimTask> {
    try {
      await fault('runtime.create.after-bundle');
      deps.shimLog.link(bundle);
      saveBinary(bundle, shim.path);
      const endpoint = await actions.start(shim, bundle, request.options);
      await fault('runtime.create.after-start');
      if (!shim.own) saveEndpoint(bundle, endpoint);
      signal.throwIfAborted();
      const task = shimTask({ bundle, shim, endpoint }, CONNECT_TIMEOUT);
      await task.connect();
      return task;
    } catch (error) {
      throw wrap('failed to start shim: start failed', error);
    }
  }

  async function createIn(bundle: Bundle, shim: Shim, request: NewTask, signal: AbortSignal): Promise<ShimTask> {
    let task: ShimTask | undefined;
    try {
      task = await start(bundle, shim, request, signal);
      const { rootfs, stdin, stdout, stderr, terminal, checkpoint, options } = request;
      const { pid } = await task
        .invoke(
          'Create',
          { bundle: bundle.path, rootfs, stdin, stdout, stderr, terminal, checkpoint, options },
          { signal },
        )
        .catch((error: unknown) => {
          throw wrap('failed to create shim task', error);
        });
      await fault('runtime.create.after-create');
      task.pid = pid;
      return task;
    } catch (error) {
      await cleanup.discard(bundle, shim, task);
      throw error;
    }
  }

  /** The shim went away by itself: its program cleans up, and who listens is told how it ended. */
  async function lose(task: ShimTask): Promise<void> {
    task.state = 'lost';
    log.warn('shim disconnected, cleaning up after it', about(task));
    const [exited, deleted] = [wasTold(task.folder, 'exited'), wasTold(task.folder, 'deleted')];
    const exit = await limit(() => cleanup.afterLoss(task.folder, task.shim, task.pid));
    if (!deleted) cleanup.report(task.folder, exit, exited);
    log.warn('cleaned up after shim', { ...about(task), pid: exit.pid, status: exit.status });
    forget(task);
    task.finish('lost', exit);
  }

  function note(task: ShimTask, what: Told): void {
    try {
      noteTold(task.folder, what);
    } catch (error) {
      log.warn(`not noted that it has ${what}: when its shim dies, subscribers may be told twice`, {
        ...about(task),
        error,
      });
    }
  }

  async function deleteTask(task: ShimTask): Promise<Exit> {
    let exit = unknownExit(task.pid);
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
    note(task, 'deleted');
    await fault('runtime.delete.after-shim');
    await cleanup.shutdown(task);
    await fault('runtime.delete.before-bundle');
    await cleanup.removeBundle(task.folder);
    forget(task);
    task.finish('deleted', exit);
    if (missing !== undefined) throw missing;
    return exit;
  }

  return {
    async create(request, signal) {
      validateIdentifier(request.namespace);
      validateIdentifier(request.id);
      const key = keyOf(request);
      if (entries.has(key)) throw alreadyExists(`task ${request.id}`);
      entries.set(key, { task: undefined, deleting: undefined });
      try {
        const shim = resolve(request.runtime, 'failed to start shim: failed to resolve runtime path');
        const bundle = await freshBundle(bundles, request);
        const task = await createIn(bundle, shim, request, signal);
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

    async delete(namespace, id, signal) {
      for (;;) {
        const entry = entries.get(`${namespace}/${id}`);
        if (entry?.task === undefined) throw notFound(`task ${id}`);
        if (entry.deleting === undefined) {
          entry.deleting = deleteTask(entry.task).finally(() => (entry.deleting = undefined));
          return abortable(entry.deleting, signal);
        }
        await abortable(
          entry.deleting.catch(() => undefined),
          signal,
        );
      }
    },

    async info(runtime, options) {
      return actions.info(resolve(runtime, 'failed to resolve runtime path'), options);
    },

    callAll: (tasks, method, timeoutMs) => callAll(tasks as readonly ShimTask[], method, timeoutMs),

    recover() {
      const found = bundles.list();
      for (const bundle of found) entries.set(keyOf(bundle), { task: undefined, deleting: undefined });
      return recoverTasks(found, {
        recovery: deps.recovery,
        cleanup: { ...cleanup, afterHalf: (...half) => limit(() => cleanup.afterHalf(...half)) },
        adopt: (whereabouts) => adopt(shimTask(whereabouts, timeouts.load)),
        forget,
        states: (tasks, timeoutMs) => callAll(tasks, 'State', timeoutMs),
        sweepSockets: (known) =>
          deps.sockets.sweep(known).catch((error: unknown) => log.warn('sockets of shims not swept', { error })),
        timeoutMs: timeouts.load,
      });
    },

    noteEvent({ namespace, topic, event }) {
      if (topic !== '/tasks/exit') return;
      const { container_id, id } = exits.decode(Buffer.from(event.value));
      const task = id === container_id ? entries.get(`${namespace}/${id}`)?.task : undefined;
      if (task !== undefined) note(task, 'exited');
    },

    async close() {
      for (const task of tasksOf(entries)) task.leave();
      await bundles.settled();
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
