// Finds out what became of one bundle while the daemon was gone. Decides nothing.
import { isNotFound, kindOf } from '../lib/errors.ts';
import { loadBinary, loadEndpoint, type Bundle } from './bundle.ts';
import type { Endpoint } from './answer.ts';
import type { ShimTask } from './shim-task.ts';
import { ConnectionClosed } from './ttrpc/client.ts';

export type Finding =
  /** The shim answers, or at least takes connections: it is to be kept. */
  | { readonly kind: 'alive'; readonly task: ShimTask; readonly silent: unknown }
  /** The shim answers that it has no task: the daemon died before it was created, or after it was deleted. */
  | { readonly kind: 'empty'; readonly task: ShimTask }
  /** Nobody listens any more. `created` tells whether there may have been a task. */
  | { readonly kind: 'dead'; readonly binary: string; readonly created: boolean; readonly reason: unknown }
  /** No shim was ever started. */
  | { readonly kind: 'unused' };

export interface InspectDeps {
  connect(bundle: Bundle, binary: string, endpoint: Endpoint, timeoutMs: number): Promise<ShimTask>;
  /** Milliseconds for one shim. */
  readonly timeoutMs: number;
}

export async function inspectBundle(bundle: Bundle, deps: InspectDeps): Promise<Finding> {
  const binary = loadBinary(bundle);
  if (binary === undefined) return { kind: 'unused' };
  const endpoint = loadEndpoint(bundle);
  if (endpoint === undefined) return { kind: 'dead', binary, created: false, reason: 'it never answered' };
  let task: ShimTask;
  try {
    task = await deps.connect(bundle, binary, endpoint, deps.timeoutMs);
  } catch (reason) {
    return { kind: 'dead', binary, created: true, reason };
  }
  try {
    const timeoutMs = deps.timeoutMs;
    task.pid = (await task.invoke('Connect', {}, { timeoutMs })).task_pid;
    if (task.pid === 0 && (await isEmpty(task, timeoutMs))) return { kind: 'empty', task };
    return { kind: 'alive', task, silent: undefined };
  } catch (error) {
    if (error instanceof ConnectionClosed) return { kind: 'dead', binary, created: true, reason: error };
    if (isNotFound(error)) return { kind: 'empty', task };
    // It is there but does not answer. Whoever kills it kills a container that may be in good health.
    return { kind: 'alive', task, silent: error };
  }
}

async function isEmpty(task: ShimTask, timeoutMs: number): Promise<boolean> {
  try {
    await task.invoke('State', { exec_id: '' }, { timeoutMs });
    return false;
  } catch (error) {
    if (kindOf(error) === 'not found') return true;
    throw error;
  }
}

/** Runs `work` on all items, at most `width` at a time. */
export async function eachOf<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
