import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';
import { removeFifos } from '../../io/fifos.ts';
import { endTask } from '../../run/end.ts';

export const command = define({
  usage: '[flags] CONTAINER [CONTAINER ...]',
  description: "Deletes tasks that have ended. With one container the exit status is the task's, as with ctr.",
  flags: {
    force: flag.switch({ alias: 'f', help: 'kill what still runs' }),
    'exec-id': flag.string({ help: 'delete this process instead' }),
  },
  examples: ['davit tasks rm web', 'davit tasks rm -f web job'],
  async run(context, flags, ids) {
    required(ids[0], 'container id');
    const client = await context.client();
    let exited = 0;
    const failed = await forEach(context, ids, async (id) => {
      const execId = flags['exec-id'];
      const { process } = await client.tasks.Get({ container_id: id, exec_id: execId ?? '' });
      if (execId !== undefined) {
        if (flags.force) {
          await client.tasks.Kill({ container_id: id, exec_id: execId, signal: 9 }).catch(() => undefined);
          await client.tasks.Wait({ container_id: id, exec_id: execId });
        }
        ({ exit_status: exited } = await client.tasks.DeleteProcess({ container_id: id, exec_id: execId }));
      } else if (flags.force) {
        exited = (await endTask(client, id)) ?? 0;
      } else {
        ({ exit_status: exited } = await client.tasks.Delete({ container_id: id }));
      }
      if (process !== null) removeFifos(process);
    });
    return failed || (ids.length === 1 && !flags.force ? exited : 0);
  },
});
