import type { StatsResponse } from '../../proto/gen/containerd.task.v2.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { instantToWire, now } from '../lib/time.ts';
import type { Runtime, Task } from '../runtime/api.ts';
import type { TaskMetric, TaskMetrics } from './api.ts';

/** Milliseconds in which a shim has to tell its numbers. */
const STATS_TIMEOUT = 5000;

/** The metrics of the tasks that tell them in time; the others are left out. */
export async function collectMetrics(runtime: Runtime, tasks: readonly Task[], log: Logger): Promise<TaskMetric[]> {
  const timestamp = instantToWire(now());
  const answers = await runtime.callAll(tasks, 'Stats', STATS_TIMEOUT);
  return tasks.flatMap(({ namespace, id }, index) => {
    const answer = answers[index] as StatsResponse | Error;
    if (!(answer instanceof Error)) return [{ timestamp, namespace, id, data: answer.stats }];
    if (!isNotFound(answer)) log.warn('metrics of task, leaving them out', { namespace, id, error: answer });
    return [];
  });
}

export function createTaskMetrics(runtime: Runtime, log: Logger): TaskMetrics {
  return { collect: () => collectMetrics(runtime, runtime.all(), log) };
}
