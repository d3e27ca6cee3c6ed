// After a restart: finds the tasks whose shims went on, and cleans up after those whose shims did not.
//
// A task can be called as soon as its bundle is found; who calls it is answered by its shim, so nobody is
// told anything wrong and nobody waits for the others. Meanwhile all shims are asked at once, and those
// that stay silent once more, each within its own bound. One that takes the connection but does not
// answer is kept: who would kill it might kill a container in good health.
import { setTimeout as sleep } from 'node:timers/promises';
import type { StateResponse } from '../../proto/gen/containerd.task.v2.ts';
import { isNotFound } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { createLimit } from '../lib/limit.ts';
import type { Recovery } from '../lib/recovery.ts';
import { loadBinary, loadEndpoint, type Bundle } from './bundle.ts';
import { unknownExit, type Cleanup } from './cleanup.ts';
import { isOwn, type Shim } from './resolve.ts';
import type { Found, ShimTask } from './shim-task.ts';

export interface RecoverDeps {
  readonly recovery: Recovery;
  readonly cleanup: Cleanup;
  /** Makes it a task: it is found from now on, and cleaned up after when its shim is gone. */
  readonly adopt: (found: Found) => ShimTask;
  /** Nothing is left of the task. */
  readonly forget: (bundle: Bundle) => void;
  /** The states of all tasks, or why there is none. */
  readonly states: (tasks: readonly ShimTask[], timeoutMs: number) => Promise<(StateResponse | Error)[]>;
  /** Removes sockets of shims that are gone with their bundles. */
  readonly sweepSockets: (known: ReadonlySet<string>) => Promise<void>;
  /** Milliseconds for each shim. */
  readonly timeoutMs: number;
}

/** Who has not answered after this long is asked on its own. */
const FIRST_QUESTION = 1000;

/** Milliseconds that those who waited for the daemon have for themselves; then so many connections at a time. */
const FIRST_CLIENTS = 200;
const CONNECT_WIDTH = 4;

/**
 * Tasks are found when this returns. Resolves when it is known what became of each, and what had to be done is
 * done. Never rejects.
 */
export async function recoverTasks(bundles: readonly Bundle[], deps: RecoverDeps): Promise<void> {
  const tasks: ShimTask[] = [];
  const work: Promise<void>[] = [];
  for (const bundle of bundles) {
    try {
      const found = open(bundle, deps);
      if (found instanceof Promise) work.push(found);
      else tasks.push(found);
    } catch (error) {
      report(deps, bundle, 'unreachable', `left alone until the next start: ${text(error)}`);
    }
  }
  const states = await deps.states(tasks, Math.min(FIRST_QUESTION, deps.timeoutMs));
  const limit = createLimit(CONNECT_WIDTH);
  const calm = sleep(FIRST_CLIENTS);
  for (const [index, task] of tasks.entries()) {
    const known = settle(task, states[index] as StateResponse | Error, deps);
    work.push(known.then(() => calm).then(() => limit(() => watch(task, deps))));
  }
  await Promise.all(work);
  await deps.sweepSockets(new Set(tasks.map(({ socket }) => socket)));
}

/** The bundle's task, or the removal of what never became one. */
function open(bundle: Bundle, deps: RecoverDeps): ShimTask | Promise<void> {
  const binary = loadBinary(bundle);
  if (binary === undefined) return removeUnused(bundle, deps);
  const shim = { path: binary, own: isOwn(binary) };
  const endpoint = loadEndpoint(bundle, shim.own);
  if (endpoint !== undefined) return deps.adopt({ bundle, shim, endpoint });
  return removeHalfMade(bundle, shim, deps);
}

/** Its shim may live all the same: the daemon was gone before it could say where. */
async function removeHalfMade(bundle: Bundle, shim: Shim, deps: RecoverDeps): Promise<void> {
  await deps.cleanup.end(bundle, shim);
  await deps.cleanup.afterHalf(bundle, shim);
  deps.forget(bundle);
  report(deps, bundle, 'removed', 'half made: its shim never answered');
}

async function removeUnused(bundle: Bundle, deps: RecoverDeps): Promise<void> {
  await deps.cleanup.removeBundle(bundle);
  deps.forget(bundle);
  report(deps, bundle, 'removed', 'half made: no shim was started');
}

/** Finds out what became of a task, given what its shim answered first. */
async function settle(task: ShimTask, first: StateResponse | Error, deps: RecoverDeps): Promise<void> {
  const { timeoutMs } = deps;
  const unknown = first instanceof Error && !isNotFound(first) && task.state === 'live';
  const state = unknown ? await task.invoke('State', { exec_id: '' }, { timeoutMs }).catch(asError) : first;
  if (task.state === 'lost') {
    const exit = await task.ended;
    report(deps, task, 'lost', `its shim is gone; cleaned up, exit status ${exit.status}`);
  } else if (task.state !== 'live') {
    // Somebody has deleted it meanwhile.
  } else if (!(state instanceof Error)) {
    task.pid = state.pid;
    report(deps, task, 'reconnected', `pid ${state.pid}`);
  } else if (isNotFound(state)) {
    await endUnused(task, deps);
  } else {
    report(deps, task, 'silent', `its shim does not answer within ${timeoutMs} ms; kept: ${state.message}`);
  }
}

/**
 * The last daemon died before the task was created, or after it was deleted. A shim may also have given up
 * a creation when its client went, and have left half of a container.
 */
async function endUnused(task: ShimTask, { cleanup, forget, ...deps }: RecoverDeps): Promise<void> {
  task.state = 'deleted';
  await cleanup.shutdown(task, true);
  task.finish('deleted', unknownExit(0));
  await cleanup.afterHalf(task.folder, task.shim);
  forget(task.folder);
  report(deps, task, 'removed', 'half made or half deleted: its shim had no task');
}

/** Connects, so that the end of the shim is noticed. */
async function watch(task: ShimTask, deps: RecoverDeps): Promise<void> {
  if (task.state !== 'live') return;
  try {
    await fault('runtime.recover.before-connect');
    await task.connect();
  } catch (error) {
    // One that is gone by now is cleaned up after, as always.
    if (task.state === 'live') report(deps, task, 'unreachable', text(error));
  }
}

function report(
  { recovery }: Pick<RecoverDeps, 'recovery'>,
  { namespace, id }: { readonly namespace: string; readonly id: string },
  outcome: string,
  detail: string,
): void {
  recovery.add({ what: 'task', namespace, id, outcome, detail });
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
const text = (error: unknown): string => asError(error).message;
