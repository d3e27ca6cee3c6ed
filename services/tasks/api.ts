// Tasks: what other slices may ask about running containers. The gRPC service is in service.ts.
import type { Metric } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';

export interface TaskMetric extends Input<Metric> {
  readonly namespace: string;
  readonly id: string;
}

export interface TaskMetrics {
  /** cgroup metrics of every task of every namespace; tasks that do not answer in time are left out. */
  collect(): Promise<readonly TaskMetric[]>;
}
