import { codec } from '../../proto/messages.ts';
import type { Options } from '../../proto/gen/containerd.runc.v1.ts';
import type { CreateTaskRequest, DeleteResponse } from '../../proto/gen/containerd.services.tasks.v1.ts';
import type { StateResponse } from '../../proto/gen/containerd.task.v2.ts';
import type { Process } from '../../proto/gen/containerd.v1.types.ts';
import type { Timestamp } from '../../proto/gen/google.protobuf.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Exit } from '../runtime/api.ts';

/** 0001-01-01T00:00:00Z, which stands for "not yet" on containerd's wire. */
const NEVER: Timestamp = { seconds: '-62135596800', nanos: 0 };

const OPTIONS = 'containerd.runc.v1.Options';
const options = codec<Options>(OPTIONS);

/** `id` is the container's, or the exec's; `container_id` is never set, as in containerd. */
export function processToWire(id: string, state: StateResponse): Input<Process> {
  const { pid, status, stdin, stdout, stderr, terminal, exit_status, exited_at } = state;
  return { id, pid, status, stdin, stdout, stderr, terminal, exit_status, exited_at: exited_at ?? NEVER };
}

export function exitToWire(id: string, exit: Exit): Input<DeleteResponse> {
  return { id, pid: exit.pid, exit_status: exit.status, exited_at: exit.exitedAt ?? NEVER };
}

/** The folder of the client's own that a task is to be restored from, empty for none. */
export function checkpointPath({ options: any }: CreateTaskRequest): string {
  return any?.type_url === OPTIONS ? options.decode(any.value).criu_image_path : '';
}
