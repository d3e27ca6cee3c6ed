import { Status } from '../../../proto/gen/containerd.v1.types.ts';
import type { Client } from '../../../client/connect.ts';
import { ClientError, isNotFound } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';
import { endTask } from '../../run/end.ts';

export const command = define({
  usage: '[flags] CONTAINER [CONTAINER ...]',
  description: 'Deletes containers and their snapshots. A container with a running task needs --force.',
  flags: {
    'keep-snapshot': flag.switch({ help: 'leave the snapshot' }),
    force: flag.switch({ alias: 'f', help: 'kill the task first, if there is one' }),
  },
  examples: ['davit containers rm web', 'davit containers rm -f web job'],
  async run(context, flags, ids) {
    required(ids[0], 'container id');
    const client = await context.client();
    return await forEach(context, ids, async (id) => {
      if (flags.force) await endTask(client, id);
      else await deleteStoppedTask(client, id);
      await deleteContainer(client, id, flags['keep-snapshot']);
    });
  },
});

/** A task that has ended is no obstacle; any other is. */
async function deleteStoppedTask(client: Client, id: string): Promise<void> {
  try {
    const { process } = await client.tasks.Get({ container_id: id });
    if (process?.status !== Status.STOPPED && process?.status !== Status.CREATED) {
      throw new ClientError(
        'failed precondition',
        `cannot delete a non stopped container: "${id}" has a running task; \`--force\` kills it`,
      );
    }
    await client.tasks.Delete({ container_id: id });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function deleteContainer(client: Client, id: string, keepSnapshot: boolean): Promise<void> {
  const { container } = await client.containers.Get({ id });
  if (!keepSnapshot && container?.snapshot_key) {
    const { snapshotter, snapshot_key: key } = container;
    await client.snapshots.Remove({ snapshotter, key }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
  await client.containers.Delete({ id });
}
