// Starting a container's task, in the foreground or not.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Input } from '../../proto/rpc.ts';
import type { Descriptor, Mount } from '../../proto/gen/containerd.types.ts';
import { packMessage } from '../../client/any.ts';
import { socketPath } from '../../client/address.ts';
import type { Client } from '../../client/connect.ts';
import { NO_STDIO, createFifos, defaultFifoDirectory, removeFifos, type StdioPaths } from '../io/fifos.ts';
import type { Outcome } from '../io/session.ts';
import { runProcess } from './process.ts';
import { flag } from '../args/flags.ts';
import type { Values } from '../args/flags.ts';

export const taskFlags = {
  'null-io': flag.switch({ help: 'no stdin, output to /dev/null' }),
  'log-uri': flag.string({ help: 'where the output goes: file:///path, binary:///path?key=value, fifo:///path' }),
  'fifo-dir': flag.string({ help: 'directory for the stdio pipes' }),
  'pid-file': flag.string({ help: "file to write the task's pid to" }),
  detach: flag.switch({ alias: 'd', help: 'do not wait for the end' }),
};

export interface TaskRequest {
  readonly container: string;
  readonly terminal: boolean;
  readonly mounts: readonly Mount[];
  readonly noPivot: boolean;
  /** The processes to go on with instead of beginning anew. */
  readonly checkpoint?: Input<Descriptor> | undefined;
  readonly flags: Values<typeof taskFlags>;
}

/** What happened; undefined when detached from the beginning. */
export async function runTask(client: Client, request: TaskRequest): Promise<Outcome | undefined> {
  const { container, terminal, flags } = request;
  const paths = stdioPaths(client.address, container, terminal, flags);
  const attached = !flags['null-io'] && flags['log-uri'] === undefined;
  const options = request.noPivot ? packMessage('containerd.runc.v1.Options', { no_pivot_root: true }) : null;
  return await runProcess(
    client,
    { container, execId: '', terminal, paths, attached, detach: flags.detach },
    {
      async create() {
        const { mounts: rootfs, checkpoint } = request;
        const task = { container_id: container, rootfs, ...paths, terminal, options, checkpoint };
        const { pid } = await client.tasks.Create(task);
        if (flags['pid-file'] !== undefined) writeFileSync(path.resolve(flags['pid-file']), String(pid));
      },
      remove: (remover) => remover.tasks.Delete({ container_id: container }),
    },
  );
}

/** Deletes a task that has exited, and the pipes that it had. */
export async function deleteTask(client: Client, container: string, paths: StdioPaths): Promise<number> {
  const { exit_status } = await client.tasks.Delete({ container_id: container });
  removeFifos(paths);
  return exit_status;
}

/** Pipes, or where --log-uri says; nothing with --null-io. */
export function stdioPaths(
  address: string,
  id: string,
  terminal: boolean,
  flags: {
    readonly 'null-io'?: boolean;
    readonly 'log-uri': string | undefined;
    readonly 'fifo-dir': string | undefined;
  },
): StdioPaths {
  if (flags['null-io']) {
    if (terminal) throw new Error('--tty and --null-io cannot be used together');
    return NO_STDIO;
  }
  const uri = flags['log-uri'];
  if (uri !== undefined) {
    const target = uri.startsWith('/') ? `file://${uri}` : uri;
    return { stdin: '', stdout: target, stderr: terminal ? '' : target };
  }
  return createFifos(flags['fifo-dir'] ?? defaultFifoDirectory(socketPath(address)), id, terminal);
}
