// A task through the eyes of the daemon: a connection to its shim.
//
//   creating -> live -> deleted     its delete() succeeded
//                    -> lost        the connection ended by itself
//                    -> left        the daemon stops; the shim goes on
import { methodsOf, type MessageCodec } from '../../proto/messages.ts';
import type { TaskService } from '../../proto/gen/containerd.task.v2.ts';
import type { Input } from '../../proto/rpc.ts';
import { failureOf } from '../lib/codes.ts';
import { Failure, unavailable } from '../lib/errors.ts';
import type { CallOptions, Exit, Passed, Task } from './api.ts';
import type { Endpoint } from './answer.ts';
import type { Bundle } from './bundle.ts';
import type { Shim } from './resolve.ts';
import {
  ConnectionClosed,
  encodeCall,
  payloadOf,
  TtrpcStatus,
  type TtrpcCall,
  type TtrpcClient,
} from './ttrpc/client.ts';
import { NAMESPACE_KEY } from './ttrpc/messages.ts';

/** The messages of version 3 are those of version 2; only the package is another. */
const METHODS = Object.fromEntries(
  methodsOf('containerd.task.v2.Task').map((method) => [method.name, method]),
) as unknown as { readonly [Name in keyof TaskService]: Method<TaskService[Name]['response']> };

/** Methods that many shims are asked at once. */
export type Asked = 'State' | 'Stats';

interface Method<Response> {
  readonly request: MessageCodec<object>;
  readonly response: MessageCodec<Response>;
}

export type State = 'creating' | 'live' | 'deleted' | 'lost' | 'left';

/** What of a shim is known before it is connected to. */
export interface Found {
  readonly bundle: Bundle;
  readonly shim: Shim;
  readonly endpoint: Endpoint;
}

interface Reachable extends Found {
  /** The path of its socket. */
  readonly socket: string;
  /** Fails with ConnectionClosed when nobody listens there any more. */
  readonly connect: () => Promise<TtrpcClient>;
}

export class ShimTask implements Task {
  readonly namespace: string;
  readonly id: string;
  readonly shim: Shim;
  readonly folder: Bundle;
  /** Where the shim listens: as it said, and as a path. */
  readonly address: string;
  readonly socket: string;
  pid = 0;
  state: State = 'creating';
  /** Resolves when the task is no more, with how its first process ended. */
  readonly ended: Promise<Exit>;
  readonly #open: () => Promise<TtrpcClient>;
  #connection: Promise<TtrpcClient> | undefined;
  #disconnected = false;
  readonly #listeners: (() => void)[] = [];
  readonly #questions = new Map<Asked, Buffer>();
  readonly #waits = new Map<string, Promise<Exit>>();
  /** Version of the task API; settled once the shim has answered a call. */
  #version: number;
  #settled = false;
  #end!: { resolve(exit: Exit): void; reject(error: unknown): void };

  constructor({ bundle, shim, endpoint, socket, connect }: Reachable) {
    this.socket = socket;
    this.address = endpoint.address;
    this.folder = bundle;
    this.namespace = bundle.namespace;
    this.id = bundle.id;
    this.shim = shim;
    this.#open = connect;
    this.#version = endpoint.version;
    this.ended = new Promise((resolve, reject) => (this.#end = { resolve, reject }));
    // Not every task that ends is waited for.
    this.ended.catch(() => undefined);
  }

  get bundle(): string {
    return this.folder.path;
  }

  get binary(): string {
    return this.shim.path;
  }

  async call<M extends Passed>(
    method: M,
    request: Omit<Input<TaskService[M]['request']>, 'id'>,
    options?: CallOptions,
  ): Promise<TaskService[M]['response']> {
    try {
      return await this.invoke(method, request, options);
    } catch (error) {
      if (error instanceof ConnectionClosed) throw this.gone(error);
      throw error;
    }
  }

  /** A call to the shim; ConnectionClosed when the shim is lost. */
  async invoke<M extends keyof TaskService>(
    method: M,
    request: Omit<Input<TaskService[M]['request']>, 'id'>,
    options: CallOptions = {},
  ): Promise<TaskService[M]['response']> {
    const { request: requests, response: responses } = METHODS[method];
    const payload = requests.encode({ ...request, id: this.id });
    let response: Buffer;
    try {
      response = await this.#send(method, payload, options);
    } catch (error) {
      throw error instanceof TtrpcStatus ? failureOf(error.code, error.message) : error;
    }
    return responses.decode(response);
  }

  async #send(method: string, payload: Buffer, { signal, timeoutMs }: CallOptions): Promise<Buffer> {
    const client = await this.connect();
    const send = (): Promise<Buffer> =>
      client.call({
        ...this.#envelope(method, payload),
        ...(signal === undefined ? {} : { signal }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
    try {
      const response = await send();
      this.#settled = true;
      return response;
    } catch (error) {
      const unimplemented = error instanceof TtrpcStatus && error.code === 12;
      if (!unimplemented || this.#settled || this.#version < 3) throw error;
      // Shims that answer for version 3 but only speak 2 exist: those of pods that outlived an upgrade.
      this.#version = 2;
      this.#questions.clear();
      return send();
    }
  }

  #envelope(method: string, payload: Buffer): TtrpcCall {
    return {
      service: `containerd.task.v${this.#version}.Task`,
      method,
      payload,
      metadata: [{ key: NAMESPACE_KEY, value: this.namespace }],
    };
  }

  /** A call without arguments as the first frame of a connection that is for it alone. */
  question(method: Asked): Buffer {
    let frame = this.#questions.get(method);
    if (frame === undefined) {
      frame = encodeCall(1, this.#envelope(method, METHODS[method].request.encode({ id: this.id })));
      this.#questions.set(method, frame);
    }
    return frame;
  }

  /** What the payload of the answer's frame says: throws what invoke() would reject with. */
  answer<M extends Asked>(method: M, payload: Buffer): TaskService[M]['response'] {
    try {
      return METHODS[method].response.decode(payloadOf(payload));
    } catch (error) {
      throw error instanceof TtrpcStatus ? failureOf(error.code, error.message) : error;
    }
  }

  /** The connection: made when it is needed first, and again when making it failed. */
  connect(): Promise<TtrpcClient> {
    this.#connection ??= this.#open().then(
      (client) => {
        client.onClose(() => this.#onDisconnect());
        if (this.state === 'left' || this.state === 'deleted' || this.state === 'lost') client.close();
        return client;
      },
      (error: unknown) => {
        this.#connection = undefined;
        if (error instanceof ConnectionClosed) this.#onDisconnect();
        throw error;
      },
    );
    return this.#connection;
  }

  #onDisconnect(): void {
    this.#disconnected = true;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  #disconnect(): void {
    this.#connection?.then(
      (client) => client.close(),
      () => undefined,
    );
  }

  wait(execId: string, signal: AbortSignal): Promise<Exit> {
    let shared = this.#waits.get(execId);
    if (shared === undefined) {
      shared = this.#waitShared(execId).finally(() => this.#waits.delete(execId));
      shared.catch(() => undefined);
      this.#waits.set(execId, shared);
    }
    return abortable(shared, signal);
  }

  async #waitShared(execId: string): Promise<Exit> {
    try {
      const { exit_status, exited_at } = await this.invoke('Wait', { exec_id: execId });
      return { pid: execId === '' ? this.pid : 0, status: exit_status, exitedAt: exited_at };
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) throw error;
      // Its execs end with the container.
      return this.ended;
    }
  }

  async deleteExec(execId: string, signal: AbortSignal): Promise<Exit> {
    try {
      const { pid, exit_status, exited_at } = await this.invoke('Delete', { exec_id: execId }, { signal });
      return { pid, status: exit_status, exitedAt: exited_at };
    } catch (error) {
      if (error instanceof ConnectionClosed) throw this.gone(error);
      throw error;
    }
  }

  /** Calls back once when the shim is gone; at once when it is already. */
  onClose(listener: () => void): void {
    if (this.#disconnected) listener();
    else this.#listeners.push(listener);
  }

  /** Resolves when the connection has ended; `deadline exceeded` when the shim keeps it open. */
  disconnected(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = new Failure('deadline exceeded', `shim of task ${this.id} stays: deadline exceeded`);
      const timer = setTimeout(() => reject(late), timeoutMs);
      this.onClose(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The end of the object: `exit` goes to those who still wait. */
  finish(state: 'deleted' | 'lost', exit: Exit): void {
    this.state = state;
    this.#end.resolve(exit);
    this.#disconnect();
  }

  /** Lets go of the shim, which goes on. */
  leave(): void {
    this.state = 'left';
    this.#end.reject(unavailable('the daemon is stopping'));
    this.#disconnect();
  }

  gone(cause: unknown): Failure {
    return new Failure('not found', `task ${this.id} not found: its shim is gone: not found`, { cause });
  }
}

/** The outcome of `promise`, or the reason of the signal when that comes first. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
