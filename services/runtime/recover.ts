// After a restart: finds the tasks whose shims went on, and cleans up after those whose shims did not.
//
// Every shim is asked on its own and within its own bound. A shim that takes the connection but does
// not answer is kept: who would kill it might kill a container in good health.
import { errnoCode, isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Endpoint } from './answer.ts';
import { loadBinary, loadEndpoint, type Bundle } from './bundle.ts';
import { unknownExit, type Cleanup } from './cleanup.ts';
import { isOwn, type Shim } from './resolve.ts';
import type { ShimTask } from './shim-task.ts';
import { ConnectionClosed } from './ttrpc/client.ts';

export interface RecoverDeps {
  readonly log: Logger;
  readonly cleanup: Cleanup;
  readonly connect: (bundle: Bundle, shim: Shim, endpoint: Endpoint, timeoutMs: number) => Promise<ShimTask>;
  /** The task is found from now on, and cleaned up after when its connection ends. */
  readonly adopt: (task: ShimTask) => void;
  /** Nothing is left of the task. */
  readonly forget: (bundle: Bundle) => void;
  /** Milliseconds for each call to a shim. */
  readonly timeoutMs: number;
  /** Runs the clean-ups of dead shims, a few at a time. */
  readonly limit: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Resolves when it is known what became of the bundle's task, and what had to be done is done. Never rejects. */
export async function recoverBundle(bundle: Bundle, deps: RecoverDeps): Promise<void> {
  const { log, cleanup, timeoutMs } = deps;
  const about = { namespace: bundle.namespace, id: bundle.id };
  const binary = loadBinary(bundle);
  if (binary === undefined) {
    log.info('removing bundle that no shim was started in', about);
    await cleanup.removeBundle(bundle);
    deps.forget(bundle);
    return;
  }
  const shim: Shim = { path: binary, own: isOwn(binary) };
  const bury = (created: boolean, reason: unknown): Promise<void> =>
    deps.limit(async () => {
      const exit = await cleanup.afterLoss(bundle, shim, 0);
      deps.forget(bundle);
      log.warn('cleaned up after task whose shim is gone', { ...about, status: exit.status, reason });
      if (created) cleanup.report(bundle, exit);
    });

  const endpoint = loadEndpoint(bundle);
  if (endpoint === undefined) return bury(false, 'the shim never answered');
  let task: ShimTask;
  try {
    task = await deps.connect(bundle, shim, endpoint, timeoutMs);
  } catch (reason) {
    if (isRefused(reason)) return bury(true, reason);
    log.error('shim cannot be reached, leaving its task alone until the next start', { ...about, error: reason });
    return;
  }
  deps.adopt(task);
  try {
    if (await hasTask(task, timeoutMs)) {
      log.info('recovered task', { ...about, pid: task.pid });
      return;
    }
  } catch (error) {
    if (error instanceof ConnectionClosed) return;
    log.warn('recovered task, but its shim does not answer', { ...about, error });
    return;
  }
  // The last daemon died before the task was created, or after it was deleted. A shim may also have given up
  // a creation when its client went, and have left half of a container.
  log.info('ending shim that has no task', about);
  task.state = 'deleted';
  await cleanup.shutdown(task);
  task.finish('deleted', unknownExit(0));
  await deps.limit(() => cleanup.afterLoss(bundle, shim, 0));
  deps.forget(bundle);
}

/** Nobody listens there: no socket, or one that a dead process left. */
function isRefused(error: unknown): boolean {
  const code = errnoCode(error instanceof Error ? error.cause : undefined);
  return code === 'ENOENT' || code === 'ECONNREFUSED';
}

/** Asks for the process id; where there is none, whether there is a task at all. */
async function hasTask(task: ShimTask, timeoutMs: number): Promise<boolean> {
  try {
    task.pid = (await task.invoke('Connect', {}, { timeoutMs })).task_pid;
    if (task.pid === 0) await task.invoke('State', { exec_id: '' }, { timeoutMs });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Lets at most `width` pieces of work run at a time. */
export function createLimit(width: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = width;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
