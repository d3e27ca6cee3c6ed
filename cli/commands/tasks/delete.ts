import { constants } from 'node:os';
import type { Client } from '../../../client/connect.ts';
import { isNotFound } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';
import { removeFifos } from '../../io/fifos.ts';
import { endTask } from '../../run/end.ts';

export const command = define({
  usage: '[flags] CONTAINER [CONTAINER ...]',
  description: "Deletes tasks that have ended, and says how. With --exec-id the exit status is the process's.",
  flags: {
    force: flag.switch({ alias: 'f', help: 'kill what still runs' }),
    'exec-id': flag.string({ help: 'delete this process instead' }),
  },
  examples: ['davit tasks rm web', 'davit tasks rm -f web job'],
  async run(context, flags, ids) {
    required(ids[0], 'container id');
    const client = await context.client();
    const execId = flags['exec-id'];
    if (execId !== undefined) {
      const id = required(ids[0], 'container id');
      const { process } = await client.tasks.Get({ container_id: id, exec_id: execId });
      const status = await deleteExec(client, id, execId, flags.force);
      if (process !== null) removeFifos(process);
      return status;
    }
    return await forEach(context, ids, async (id) => {
      const { process } = await client.tasks.Get({ container_id: id });
      const status = await deleteTask(client, id, flags.force);
      if (process !== null) removeFifos(process);
      if (status !== 0) context.note(`davit: task ${id} exit with non-zero exit code ${status}\n`);
    });
  },
});

async function deleteTask(client: Client, id: string, force: boolean): Promise<number> {
  if (force) return (await endTask(client, id)) ?? 0;
  return (await client.tasks.Delete({ container_id: id })).exit_status;
}

async function deleteExec(client: Client, id: string, execId: string, force: boolean): Promise<number> {
  const target = { container_id: id, exec_id: execId };
  if (force) {
    await client.tasks.Kill({ ...target, signal: constants.signals.SIGKILL }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    await client.tasks.Wait(target);
  }
  return (await client.tasks.DeleteProcess(target)).exit_status;
}
