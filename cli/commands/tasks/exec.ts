import { randomBytes } from 'node:crypto';
import type { Client } from '../../../client/connect.ts';
import { PROCESS_URL } from '../../../client/any.ts';
import { ClientError } from '../../../client/errors.ts';
import { jsonText } from '../../../spec/json.ts';
import { hasVariable, mergeEnvironment } from '../../../spec/environment.ts';
import type { Process, Spec } from '../../../spec/types.ts';
import { processUser, type UserFiles } from '../../../spec/users.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { terminalSize } from '../../io/terminal.ts';
import { directoryUserFiles, snapshotUserFiles } from '../../rootfs/users.ts';
import { runProcess } from '../../run/process.ts';
import { stdioPaths } from '../../run/task.ts';
import { specOf } from '../containers/json.ts';
import type { Container } from '../../../proto/gen/containerd.services.containers.v1.ts';

export const command = define({
  usage: '[flags] CONTAINER COMMAND [ARG...]',
  description: `Runs a further process in a running container and waits for its end; the exit status is the
process's.`,
  flags: {
    cwd: flag.string({ help: 'working directory of the process' }),
    tty: flag.switch({ alias: 't', help: 'allocate a terminal' }),
    detach: flag.switch({ alias: 'd', help: 'do not wait for the end' }),
    'exec-id': flag.string({ help: 'id of the process; made up when not given' }),
    'fifo-dir': flag.string({ help: 'directory for the stdio pipes' }),
    'log-uri': flag.string({ help: 'where the output goes' }),
    user: flag.string({ alias: 'u', help: 'USER[:GROUP] to run as' }),
    env: flag.list({ help: 'environment variable (FOO=bar)' }),
  },
  stopAtFirst: true,
  examples: [
    'davit tasks exec web ps aux',
    'davit tasks exec -t web sh',
    'davit tasks exec --user alice --cwd /tmp web id',
  ],
  async run(context, flags, [first, ...args]) {
    const id = required(first, 'container id');
    required(args[0], 'command');
    const client = await context.client();
    const { container } = await client.containers.Get({ id });
    if (container === null) return 1;
    const spec = specOf(container) as Spec | null;
    if (!spec?.process)
      throw new ClientError('failed precondition', `container "${id}": its spec has no process to take settings from`);
    const settings: Process = { ...spec.process, args, terminal: flags.tty };
    if (flags.cwd !== undefined) settings.cwd = flags.cwd;
    settings.env = mergeEnvironment(settings.env ?? [], flags.env);
    if (flags.user !== undefined)
      settings.user = await processUser(flags.user, await userFiles(client, container, spec));
    const size = flags.tty ? terminalSize() : undefined;
    if (flags.tty && !hasVariable(settings.env, 'TERM')) settings.env.push('TERM=xterm');
    if (size === undefined) delete settings.consoleSize;
    else settings.consoleSize = size;
    const execId = flags['exec-id'] ?? `exec-${randomBytes(6).toString('hex')}`;
    return await runExec(client, { id, execId, settings, flags });
  },
});

interface ExecRequest {
  readonly id: string;
  readonly execId: string;
  readonly settings: Process;
  readonly flags: {
    readonly detach: boolean;
    readonly 'fifo-dir': string | undefined;
    readonly 'log-uri': string | undefined;
  };
}

async function runExec(client: Client, { id, execId, settings, flags }: ExecRequest): Promise<number> {
  const terminal = settings.terminal ?? false;
  const paths = stdioPaths(client.address, execId, terminal, flags);
  const target = { container_id: id, exec_id: execId };
  const spec = { type_url: PROCESS_URL, value: Buffer.from(jsonText(settings)) };
  const outcome = await runProcess(
    client,
    { container: id, execId, terminal, paths, attached: flags['log-uri'] === undefined, detach: flags.detach },
    {
      create: async () => void (await client.tasks.Exec({ ...target, ...paths, terminal, spec })),
      remove: (remover) => remover.tasks.DeleteProcess(target),
    },
  );
  return outcome === undefined || outcome.kind === 'detached' ? 0 : outcome.status;
}

async function userFiles(client: Client, container: Container, spec: Spec): Promise<UserFiles> {
  const { snapshotter, snapshot_key: key } = container;
  if (key === '') return directoryUserFiles(spec.root?.path ?? '/');
  return snapshotUserFiles((await client.snapshots.Mounts({ snapshotter, key })).mounts);
}
