// The cgroup numbers of tasks for Prometheus, under the names that containerd gives them.
import { Gauge, type Registry } from 'prom-client';
import { codec } from '../../proto/messages.ts';
import type { TaskMetric, TaskMetrics } from '../tasks/api.ts';

/** Name after `container_`, and where in the message the number stands. */
type Series = readonly [name: string, path: string];

const V1: readonly Series[] = [
  ['cpu_total_nanoseconds', 'cpu.usage.total'],
  ['cpu_kernel_nanoseconds', 'cpu.usage.kernel'],
  ['cpu_user_nanoseconds', 'cpu.usage.user'],
  ['cpu_throttle_periods_total', 'cpu.throttling.periods'],
  ['cpu_throttled_periods_total', 'cpu.throttling.throttled_periods'],
  ['cpu_throttled_time_nanoseconds', 'cpu.throttling.throttled_time'],
  ['memory_cache_bytes', 'memory.cache'],
  ['memory_rss_bytes', 'memory.rss'],
  ['memory_total_cache_bytes', 'memory.total_cache'],
  ['memory_total_rss_bytes', 'memory.total_rss'],
  ['memory_total_inactive_file_bytes', 'memory.total_inactive_file'],
  ['memory_total_active_file_bytes', 'memory.total_active_file'],
  ['memory_usage_failcnt_total', 'memory.usage.failcnt'],
  ['memory_usage_limit_bytes', 'memory.usage.limit'],
  ['memory_usage_max_bytes', 'memory.usage.max'],
  ['memory_usage_usage_bytes', 'memory.usage.usage'],
  ['memory_swap_usage_bytes', 'memory.swap.usage'],
  ['memory_oom_total', 'memory_oom_control.oom_kill'],
  ['pids_current', 'pids.current'],
  ['pids_limit', 'pids.limit'],
];

const V2: readonly Series[] = [
  ['cpu_usage_usec_microseconds', 'cpu.usage_usec'],
  ['cpu_user_usec_microseconds', 'cpu.user_usec'],
  ['cpu_system_usec_microseconds', 'cpu.system_usec'],
  ['cpu_nr_periods_total', 'cpu.nr_periods'],
  ['cpu_nr_throttled_total', 'cpu.nr_throttled'],
  ['cpu_throttled_usec_microseconds', 'cpu.throttled_usec'],
  ['memory_usage_bytes', 'memory.usage'],
  ['memory_usage_limit_bytes', 'memory.usage_limit'],
  ['memory_swap_usage_bytes', 'memory.swap_usage'],
  ['memory_swap_limit_bytes', 'memory.swap_limit'],
  ['memory_anon_bytes', 'memory.anon'],
  ['memory_file_bytes', 'memory.file'],
  ['memory_inactive_file_bytes', 'memory.inactive_file'],
  ['memory_active_file_bytes', 'memory.active_file'],
  ['memory_kernel_stack_bytes', 'memory.kernel_stack'],
  ['memory_slab_bytes', 'memory.slab'],
  ['memory_oom_total', 'memory_events.oom'],
  ['pids_current', 'pids.current'],
  ['pids_limit', 'pids.limit'],
];

const SERIES: Readonly<Record<string, readonly Series[]>> = {
  'io.containerd.cgroups.v1.Metrics': V1,
  'io.containerd.cgroups.v2.Metrics': V2,
};

/** Adds the tasks' numbers to a registry; one scrape asks every shim once. */
export function registerTaskMetrics(registry: Registry, tasks: TaskMetrics): void {
  let scrape: Promise<readonly Sample[]> | undefined;
  const samples = (): Promise<readonly Sample[]> => {
    scrape ??= tasks
      .collect()
      .then((metrics) => metrics.map(decode))
      .finally(() => (scrape = undefined));
    return scrape;
  };
  for (const name of new Set([...V1, ...V2].map(([series]) => series))) {
    const gauge: Gauge = new Gauge({
      name: `container_${name}`,
      help: `cgroup metric ${name} of the container's task`,
      labelNames: ['container_id', 'namespace'],
      registers: [registry],
      async collect() {
        const current = await samples();
        gauge.reset();
        for (const { id, namespace, values } of current) {
          const value = values.get(name);
          if (value !== undefined) gauge.set({ container_id: id, namespace }, value);
        }
      },
    });
  }
}

interface Sample {
  readonly id: string;
  readonly namespace: string;
  readonly values: ReadonlyMap<string, number>;
}

function decode({ id, namespace, data }: TaskMetric): Sample {
  const values = new Map<string, number>();
  const series = SERIES[data?.type_url ?? ''];
  if (series !== undefined && data?.value) {
    const message = codec<object>(data.type_url ?? '').decode(data.value);
    for (const [name, path] of series) {
      const value = valueAt(message, path.split('.'));
      if (value !== undefined) values.set(name, value);
    }
  }
  return { id, namespace, values };
}

/** Prometheus has doubles only: what does not fit is rounded. Undefined where the message has no such part. */
function valueAt(message: unknown, path: readonly string[]): number | undefined {
  let value = message;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return typeof value === 'string' || typeof value === 'number' ? Number(value) : undefined;
}
