// containerd.services.tasks.v1.Tasks: each method finds the task and passes the call to its shim.
import { TasksName, type CreateTaskRequest, type TasksService } from '../../proto/gen/containerd.services.tasks.v1.ts';
import type { StateResponse } from '../../proto/gen/containerd.task.v2.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import type { Containers } from '../containers/api.ts';
import type { Call } from '../grpc/call.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { Failure, isNotFound } from '../lib/errors.ts';
import { parseFilters } from '../lib/filters.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import type { Logger } from '../lib/log.ts';
import type { Runtime, Task } from '../runtime/api.ts';
import type { Snapshots } from '../snapshots/api.ts';
import type { Checkpoints } from './checkpoint.ts';
import { checkpointPath, exitToWire, processToWire } from './convert.ts';
import { rootfsOf } from './rootfs.ts';
import { collectMetrics } from './metrics.ts';

export interface TasksDeps {
  readonly runtime: Runtime;
  readonly containers: Containers;
  readonly snapshots: Pick<Snapshots, 'get' | 'names'>;
  readonly checkpoints: Checkpoints;
  readonly log: Logger;
  /** Milliseconds in which a shim has to tell a state. */
  readonly stateTimeout: number;
}

export function createTasksService(deps: TasksDeps): Registration {
  const { runtime, containers, snapshots, checkpoints, log, stateTimeout } = deps;

  /** The task of a container; a task without its container is no longer reached by clients. */
  const find = (call: Call, id: string): Task => {
    const namespace = call.namespace();
    const container = containers.get(namespace, id);
    const task = runtime.get(namespace, container.id);
    if (task === undefined) throw new Failure('not found', `task ${id} not found`);
    return task;
  };

  const state = async (task: Task, execId: string, signal: AbortSignal) => {
    const response = await task.call('State', { exec_id: execId }, { timeoutMs: stateTimeout, signal });
    return processToWire(execId === '' ? task.id : execId, response);
  };

  return registration<TasksService>(TasksName, {
    async Create(request, call) {
      const namespace = call.namespace();
      const container = containers.get(namespace, request.container_id);
      const create = (checkpoint: string) =>
        runtime.create(
          {
            namespace,
            id: container.id,
            runtime: request.runtime_path === '' ? container.runtime.name : request.runtime_path,
            spec: container.spec.value,
            rootfs: rootfsOf(request.rootfs, snapshots, namespace, container),
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
            options: optionsOf(request, container.runtime.options),
            checkpoint,
          },
          call.signal,
        );
      const { checkpoint } = request;
      if (checkpoint === null) {
        const { pid } = await create(checkpointPath(request));
        return { container_id: container.id, pid };
      }
      try {
        const { pid } = await create(await checkpoints.unpack(namespace, checkpoint, container.id, call.signal));
        return { container_id: container.id, pid };
      } catch (error) {
        await checkpoints.release(namespace, container.id);
        throw error;
      }
    },

    async Start(request, call) {
      const task = find(call, request.container_id);
      const { pid } = await task.call('Start', { exec_id: request.exec_id }, { signal: call.signal });
      await checkpoints.release(task.namespace, task.id);
      return { pid };
    },

    async Delete(request, call) {
      const task = find(call, request.container_id);
      try {
        const exit = await runtime.delete(task.namespace, task.id, call.signal);
        await checkpoints.release(task.namespace, task.id);
        return exitToWire('', exit);
      } catch (error) {
        throw error instanceof Failure ? error.in('failed to delete task') : error;
      }
    },

    async DeleteProcess(request, call) {
      const task = find(call, request.container_id);
      return exitToWire(request.exec_id, await task.deleteExec(request.exec_id, call.signal));
    },

    async Get(request, call) {
      return { process: await state(find(call, request.container_id), request.exec_id, call.signal) };
    },

    async List(_request, call) {
      const tasks = runtime.list(call.namespace());
      const states = await runtime.callAll(tasks, 'State', stateTimeout);
      const processes = tasks.flatMap(({ namespace, id }, index) => {
        const state = states[index] as StateResponse | Error;
        if (!(state instanceof Error)) return [processToWire(id, state)];
        if (!isNotFound(state)) {
          log.warn('state of task, leaving it out of the list', { namespace, id, error: state });
        }
        return [];
      });
      return { tasks: processes };
    },

    async Kill(request, call) {
      const { exec_id, signal, all } = request;
      const task = find(call, request.container_id);
      return task.call('Kill', { exec_id, signal, all: all && exec_id === '' }, { signal: call.signal });
    },

    async Exec(request, call) {
      const { exec_id, stdin, stdout, stderr, terminal, spec } = request;
      if (exec_id === '') throw new Failure('invalid argument', 'exec id cannot be empty');
      const task = find(call, request.container_id);
      validateExecId(exec_id);
      return task.call('Exec', { exec_id, stdin, stdout, stderr, terminal, spec }, { signal: call.signal });
    },

    async ResizePty(request, call) {
      const { exec_id, width, height } = request;
      return find(call, request.container_id).call('ResizePty', { exec_id, width, height }, { signal: call.signal });
    },

    async CloseIO(request, call) {
      const task = find(call, request.container_id);
      return request.stdin
        ? task.call('CloseIO', { exec_id: request.exec_id, stdin: true }, { signal: call.signal })
        : {};
    },

    async Pause(request, call) {
      return find(call, request.container_id).call('Pause', {}, { signal: call.signal });
    },

    async Resume(request, call) {
      return find(call, request.container_id).call('Resume', {}, { signal: call.signal });
    },

    async ListPids(request, call) {
      return find(call, request.container_id).call('Pids', {}, { signal: call.signal });
    },

    async Checkpoint(request, call) {
      const task = find(call, request.container_id);
      const { spec } = containers.get(task.namespace, task.id);
      const scope = { namespace: task.namespace, lease: call.lease };
      const any = { type_url: spec.type_url, value: Buffer.from(spec.value) };
      return { descriptors: await checkpoints.write(scope, task, any, request, call.signal) };
    },

    async Update(request, call) {
      const { resources, annotations } = request;
      return find(call, request.container_id).call('Update', { resources, annotations }, { signal: call.signal });
    },

    async Metrics(request, call) {
      const matches = parseFilters(request.filters);
      const tasks = runtime
        .list(call.namespace())
        .filter(({ id, namespace }) =>
          matches(([field]) => (field === 'id' ? id : field === 'namespace' ? namespace : undefined)),
        );
      return { metrics: await collectMetrics(runtime, tasks, log) };
    },

    async Wait(request, call) {
      const { status, exitedAt } = await find(call, request.container_id).wait(request.exec_id, call.signal);
      return { exit_status: status, exited_at: exitedAt };
    },
  });
}

/** What the client gave for this task, else what the container was made with. */
function optionsOf(
  request: CreateTaskRequest,
  fallback: { readonly type_url: string; readonly value: Uint8Array } | undefined,
): Any | null {
  if (request.options !== null && request.options.value.length > 0) return request.options;
  if (fallback === undefined) return null;
  return { type_url: fallback.type_url, value: Buffer.from(fallback.value) };
}

function validateExecId(id: string): void {
  try {
    validateIdentifier(id);
  } catch (error) {
    throw error instanceof Failure ? error.in(`invalid exec id ${id}`) : error;
  }
}
