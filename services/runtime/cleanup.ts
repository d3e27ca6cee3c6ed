// How tasks end: by themselves, by a lost shim, by a creation that failed.
import type { Publisher } from '../events/api.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { instantToWire, now } from '../lib/time.ts';
import type { Actions } from './actions.ts';
import type { Exit } from './api.ts';
import type { Bundle, Bundles } from './bundle.ts';
import { cgroupsOf, removeEmptyCgroups } from './cgroups.ts';
import type { Shim } from './resolve.ts';
import type { ShimTask } from './shim-task.ts';
import { ConnectionClosed } from './ttrpc/client.ts';

export interface CleanupDeps {
  readonly log: Logger;
  readonly events: Publisher;
  readonly actions: Actions;
  readonly bundles: Bundles;
  /** Whether the shim runs further tasks: some do, for the containers of one pod. */
  readonly isShared: (task: ShimTask) => boolean;
  /** Milliseconds for one call of a clean-up, and for a shim's shutdown. */
  readonly timeouts: { readonly cleanup: number; readonly shutdown: number };
}

/** None of its functions rejects: what fails is logged, for it must not hide why they were called. */
export interface Cleanup {
  /**
   * Asks a shim that has no task any more to end; ends it when it does not. `surely`: also when it has let go of
   * its socket but may still be there, as those that still try to tell a daemon of events that is gone.
   */
  shutdown(task: ShimTask, surely?: boolean): Promise<void>;
  /** Ends a shim that cannot be asked. */
  end(bundle: Bundle, shim: Shim): Promise<void>;
  removeBundle(bundle: Bundle): Promise<void>;
  /** Undoes a creation that failed, with the connection if it came so far. */
  discard(bundle: Bundle, shim: Shim, task: ShimTask | undefined): Promise<void>;
  /** Has the shim's program kill and remove what a lost shim left; tells how the task ended. */
  afterLoss(bundle: Bundle, shim: Shim, pid: number): Promise<Exit>;
  /** The same for a container that was never whole. */
  afterHalf(bundle: Bundle, shim: Shim): Promise<void>;
  /** Publishes what the lost shim cannot any more; its exit only when it has not done so. */
  report(bundle: Bundle, exit: Exit, exitTold: boolean): void;
}

/** How a task ended that nobody knows the end of. */
export function unknownExit(pid: number): Exit {
  return { pid, status: 255, exitedAt: instantToWire(now()) };
}

export function createCleanup({ log, events, actions, bundles, isShared, timeouts }: CleanupDeps): Cleanup {
  const about = ({ namespace, id }: { namespace: string; id: string }) => ({ namespace, id });

  async function shutdown(task: ShimTask, surely = false): Promise<void> {
    let ended = !surely;
    try {
      await task.invoke('Shutdown', { now: false }, { timeoutMs: timeouts.shutdown });
      // Ours has given its socket up when it answers; another may still be found by the next of its name.
      // One that has further tasks stays.
      if (!task.shim.own && !isShared(task)) await task.disconnected(timeouts.shutdown);
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) {
        log.warn('shim does not end when asked to', { ...about(task), error });
        ended = false;
      }
    }
    if (!ended && !isShared(task)) await end(task.folder, task.shim);
  }

  async function end(bundle: Bundle, shim: Shim): Promise<void> {
    try {
      const pids = await actions.end(shim, bundle);
      if (pids.length > 0) log.warn('ended shim', { ...about(bundle), pids: pids.join(' ') });
    } catch (error) {
      log.error('failed to end shim, it might be leaked', { ...about(bundle), error });
    }
  }

  async function removeBundle(bundle: Bundle): Promise<void> {
    try {
      await bundles.remove(bundle);
    } catch (error) {
      log.error('failed to remove bundle', { ...about(bundle), error });
    }
  }

  /** Kills and deletes what the shim may have created. */
  async function deleteByForce(task: ShimTask): Promise<void> {
    const timeoutMs = timeouts.cleanup;
    const remove = (): Promise<unknown> => task.invoke('Delete', { exec_id: '' }, { timeoutMs });
    try {
      await remove().catch(async (error: unknown) => {
        if (isNotFound(error)) return;
        await task.invoke('Kill', { exec_id: '', signal: 9, all: true }, { timeoutMs });
        await task.invoke('Wait', { exec_id: '' }, { timeoutMs });
        await remove();
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function afterLoss(bundle: Bundle, shim: Shim, pid: number): Promise<Exit> {
    let exit = unknownExit(pid);
    try {
      const found = await actions.delete(shim, bundle);
      exit = { pid: found.pid || pid, status: found.status, exitedAt: found.exitedAt ?? exit.exitedAt };
    } catch (error) {
      log.error('failed to clean up after dead shim', { ...about(bundle), error });
    }
    await removeBundle(bundle);
    return exit;
  }

  return {
    shutdown,
    end,
    removeBundle,

    async discard(bundle, shim, task) {
      try {
        if (task === undefined) {
          await end(bundle, shim);
          await actions.delete(shim, bundle);
        } else {
          await deleteByForce(task).catch(() => actions.delete(shim, bundle));
          await shutdown(task);
        }
      } catch (error) {
        // Most often there was nothing: the shim never came to life.
        log.debug('clean-up after failed creation', { ...about(bundle), error });
      }
      task?.finish('deleted', unknownExit(task.pid));
      await removeBundle(bundle);
    },

    afterLoss,

    async afterHalf(bundle, shim) {
      const cgroups = shim.own ? [] : await cgroupsOf(bundle).catch(() => []);
      await afterLoss(bundle, shim, 0);
      await removeEmptyCgroups(cgroups).catch((error: unknown) => {
        log.error('failed to remove cgroups', { ...about(bundle), error });
      });
    },

    report({ namespace, id }, { pid, status, exitedAt }, exitTold) {
      const exit = { container_id: id, pid, exit_status: status, exited_at: exitedAt };
      if (!exitTold) events.publish(namespace, '/tasks/exit', 'containerd.events.TaskExit', { ...exit, id });
      events.publish(namespace, '/tasks/delete', 'containerd.events.TaskDelete', exit);
    },
  };
}
