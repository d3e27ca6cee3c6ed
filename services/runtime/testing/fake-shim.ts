// A shim in this process, for what no real shim does on purpose: staying silent, dying half-way,
// answering in an old way. What real shims do is tested with real ones, in integration/.
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import path from 'node:path';
import { codec } from '../../../proto/messages.ts';
import type * as v2 from '../../../proto/gen/containerd.task.v2.ts';
import { Failure } from '../../lib/errors.ts';
import type { Actions } from '../actions.ts';
import type { TtrpcMethod } from '../api.ts';
import { createTtrpcServer, type TtrpcServer } from '../ttrpc/server.ts';

type MethodName = keyof v2.TaskService;
export type Behaviour = Partial<Record<MethodName, (request: Record<string, unknown>) => Promise<object> | object>>;

const REQUESTS: Partial<Record<MethodName, string>> = {
  Create: 'CreateTaskRequest',
  Exec: 'ExecProcessRequest',
  Checkpoint: 'CheckpointTaskRequest',
};
const RESPONSES: Partial<Record<MethodName, string>> = { Create: 'CreateTaskResponse' };
const EMPTY = new Set<MethodName>([
  'Pause',
  'Resume',
  'Kill',
  'Exec',
  'ResizePty',
  'CloseIO',
  'Update',
  'Shutdown',
  'Checkpoint',
]);

/** Never answers. */
export const silent = (): Promise<object> => new Promise(() => undefined);

export interface FakeShim {
  readonly address: string;
  /** Names of the methods called, in order. */
  readonly calls: string[];
  /** As if the process had died: its listener and connections are gone. */
  die(): Promise<void>;
}

export async function startFakeShim(folder: string, behaviour: Behaviour, version = 2): Promise<FakeShim> {
  const calls: string[] = [];
  const methods = new Map<string, TtrpcMethod>();
  const all: Behaviour = {
    Create: () => ({ pid: 42 }),
    Connect: () => ({ shim_pid: 1, task_pid: 42 }),
    State: () => ({ pid: 42, status: 2 }),
    Delete: () => ({ pid: 42, exit_status: 3 }),
    Wait: silent,
    Kill: () => ({}),
    Shutdown: () => ({}),
    Start: () => ({ pid: 42 }),
    ...behaviour,
  };
  for (const [name, handler] of Object.entries(all) as [MethodName, NonNullable<Behaviour[MethodName]>][]) {
    const request = codec<Record<string, unknown>>(`containerd.task.v2.${REQUESTS[name] ?? `${name}Request`}`);
    const response = codec(
      EMPTY.has(name) ? 'google.protobuf.Empty' : `containerd.task.v2.${RESPONSES[name] ?? `${name}Response`}`,
    );
    methods.set(`containerd.task.v${version}.Task/${name}`, async (payload) => {
      calls.push(name);
      return response.encode(await handler(request.decode(payload)));
    });
  }
  const made: TtrpcServer = createTtrpcServer({ methods, onUnexpected: () => undefined });
  const address = path.join(folder, randomUUID());
  await listen(made.server, address);
  return { address, calls, die: () => made.close() };
}

function listen(server: Server, address: string): Promise<void> {
  return new Promise((resolve) => server.listen(address, resolve));
}

/** Actions that start fake shims; `answers` says at which version they claim to speak. */
export function fakeActions(
  start: () => Promise<FakeShim>,
  answers = 2,
): Actions & { readonly deletes: string[]; readonly ends: string[] } {
  const deletes: string[] = [];
  const ends: string[] = [];
  return {
    deletes,
    ends,
    end(_shim, bundle) {
      ends.push(bundle.id);
      return Promise.resolve([]);
    },
    async start(_shim, bundle) {
      const { address } = await start();
      writeFileSync(path.join(bundle.path, 'address'), `unix://${address}`);
      return { version: answers, address: `unix://${address}`, protocol: 'ttrpc' };
    },
    async delete(_shim, bundle) {
      deletes.push(bundle.id);
      return { pid: 42, status: 137, exitedAt: null };
    },
    info: () => Promise.reject(new Failure('not implemented', 'info: not implemented')),
  };
}
