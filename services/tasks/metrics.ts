import type { Metric } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { instantToWire, now } from '../lib/time.ts';
import type { Runtime, Task } from '../runtime/api.ts';
import type { TaskMetrics } from './api.ts';

/** Milliseconds in which a shim has to tell its numbers. */
const STATS_TIMEOUT = 5000;

/** The metrics of the tasks that tell them in time; the others are left out. */
export async function collectMetrics(tasks: readonly Task[], log: Logger): Promise<Input<Metric>[]> {
  const metrics = await Promise.all(tasks.map((task) => metricOf(task, log)));
  return metrics.filter((metric) => metric !== undefined);
}

async function metricOf(task: Task, log: Logger): Promise<Input<Metric> | undefined> {
  const timestamp = instantToWire(now());
  try {
    const { stats } = await task.call('Stats', {}, { timeoutMs: STATS_TIMEOUT });
    return { timestamp, id: task.id, data: stats };
  } catch (error) {
    if (!isNotFound(error))
      log.warn('metrics of task, leaving them out', { namespace: task.namespace, id: task.id, error });
    return undefined;
  }
}

export function createTaskMetrics(runtime: Runtime, log: Logger): TaskMetrics {
  return {
    async collect() {
      const collected = await Promise.all(
        runtime.all().map(async (task) => {
          const metric = await metricOf(task, log);
          return metric === undefined ? [] : [{ ...metric, namespace: task.namespace, id: task.id }];
        }),
      );
      return collected.flat();
    },
  };
}
