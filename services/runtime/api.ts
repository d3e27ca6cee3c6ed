// Runtime: tasks, and the shims that run them.
//
// Words:
//   shim    the process beside a container that runs it and outlives the daemon; spoken to over ttrpc.
//   bundle  <state>/tasks/<namespace>/<id>/: what a shim is started in, and what is needed to find it
//           again after the daemon was gone.
//   exec    a further process of a task, found by (task, exec id). The empty exec id is the task's
//           own first process.
//
// A task exists from the moment create() resolves until its delete() resolves, or until its shim is
// lost and cleaned up. What a task's state is only its shim knows: the daemon keeps none, so nothing
// is wrong after a restart or a lost event.
import type { TaskService } from '../../proto/gen/containerd.task.v2.ts';
import type { Mount, RuntimeInfo } from '../../proto/gen/containerd.types.ts';
import type { Any, Timestamp } from '../../proto/gen/google.protobuf.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Envelope } from '../events/api.ts';

export interface Exit {
  readonly pid: number;
  readonly status: number;
  readonly exitedAt: Timestamp | null;
}

export interface NewTask {
  readonly namespace: string;
  readonly id: string;
  /** Runtime name (`io.containerd.runc.v2`) or absolute path of a shim. */
  readonly runtime: string;
  /** What the bundle's config.json will hold, byte by byte; no file when undefined. */
  readonly spec: Uint8Array | undefined;
  readonly rootfs: readonly Input<Mount>[];
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
  /** Runtime options, for the shim's start and for Create. */
  readonly options: Any | null;
  /** Directory of a checkpoint to restore from, or empty. */
  readonly checkpoint: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** `deadline exceeded` after this time. */
  readonly timeoutMs?: number;
}

/** Methods of the shim that go through to it as they are. */
export type Passed = Exclude<keyof TaskService, 'Create' | 'Delete' | 'Wait' | 'Connect' | 'Shutdown'>;

export interface Task {
  readonly namespace: string;
  readonly id: string;
  /** Process id of the task's first process; 0 while the shim has not told it. */
  readonly pid: number;
  /** The runtime as resolved: the path of the shim. */
  readonly binary: string;
  readonly bundle: string;
  /**
   * Calls the shim; `id` is filled in. Failures are the shim's own, with their class; `not found`
   * when the shim is gone.
   */
  call<Method extends Passed>(
    method: Method,
    request: Omit<Input<TaskService[Method]['request']>, 'id'>,
    options?: CallOptions,
  ): Promise<TaskService[Method]['response']>;
  /**
   * Resolves when the process has ended, at once when it has already. When the shim is lost, resolves
   * with what its clean-up found. Any number of waiters cost the shim one call.
   */
  wait(execId: string, signal: AbortSignal): Promise<Exit>;
  deleteExec(execId: string, signal: AbortSignal): Promise<Exit>;
}

export interface Runtime {
  /**
   * Starts a shim and has it create the task. `already exists` when the task does. When it fails or
   * is aborted, no bundle, shim, mount or socket is left.
   */
  create(task: NewTask, signal: AbortSignal): Promise<Task>;
  /** Tasks that are being created are not found yet. */
  get(namespace: string, id: string): Task | undefined;
  list(namespace: string): readonly Task[];
  /** Tasks of all namespaces. */
  all(): readonly Task[];
  /**
   * Deletes a stopped task, its shim and its bundle. Callers that come at the same time wait for one
   * another; the later ones get `not found`. Fails with the shim's own error and changes nothing when
   * the task is still running. Who aborts no longer waits, but what was begun goes on.
   */
  delete(namespace: string, id: string, signal: AbortSignal): Promise<Exit>;
  /**
   * What `task.call(method, {})` gives for each of the tasks, or the error: for many tasks at a fraction of
   * the price. No task keeps another from being answered for; all are bounded.
   */
  callAll<Method extends 'State' | 'Stats'>(
    tasks: readonly Task[],
    method: Method,
    timeoutMs: number,
  ): Promise<(TaskService[Method]['response'] | Error)[]>;
  /** What a shim says of itself (`-info`). */
  info(runtime: string, options: Any | null): Promise<RuntimeInfo>;
}

/** The owner's view: what services/daemon calls. */
export interface RuntimeLifecycle extends Runtime {
  /**
   * Finds the tasks that outlived the daemon; they can be called when this returns. Every shim has its own bound;
   * resolves when it is known what became of each.
   */
  recover(): Promise<void>;
  /** Takes note of what a shim has told: what happens to a task is told once. */
  noteEvent(envelope: Envelope): void;
  /** Leaves the shims running and closes the connections to them. */
  close(): Promise<void>;
}

/** A method that the daemon serves over ttrpc: takes the request's payload and returns the response's. */
export type TtrpcMethod = (payload: Buffer, metadata: ReadonlyMap<string, string>) => Promise<Uint8Array> | Uint8Array;
