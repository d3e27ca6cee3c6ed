import type { Client } from '../../../client/connect.ts';
import { ClientError, isNotFound } from '../../../client/errors.ts';
import { toWire } from '../../../client/images/resolve.ts';
import { withLease } from '../../../client/lease.ts';
import { Status } from '../../../proto/gen/containerd.v1.types.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { saveContainer } from '../../run/checkpoint.ts';

export const command = define({
  usage: '[flags] CONTAINER REF',
  description: `Saves a container as an image: its spec, and what the flags ask for. A running container is
paused meanwhile and goes on. Processes are saved by the program criu.`,
  flags: {
    rw: flag.switch({ help: 'include what the container has written' }),
    image: flag.switch({ help: 'include the base image' }),
    task: flag.switch({ help: 'include the running processes' }),
  },
  examples: ['davit containers checkpoint --task --rw --image web example.com/web-saved:1'],
  async run(context, flags, [first, second]) {
    const id = required(first, 'container id');
    const name = required(second, 'checkpoint ref');
    const root = await context.client();
    const { container } = await root.containers.Get({ id });
    if (container === null) throw new ClientError('not found', `container "${id}": not found`);
    await withLease(root, async (client) => {
      const resume = await pause(client, id, flags.task);
      try {
        const target = toWire(await saveContainer(client, container, flags));
        await client.images.Create({ image: { name, target } });
      } finally {
        await resume();
      }
    });
  },
});

/** Pauses what runs; what comes back lets it go on. Throws when there is no task and one is needed. */
async function pause(client: Client, id: string, needed: boolean): Promise<() => Promise<void>> {
  try {
    const { process } = await client.tasks.Get({ container_id: id });
    if (process?.status !== Status.RUNNING) return async () => undefined;
    await client.tasks.Pause({ container_id: id });
  } catch (error) {
    if (needed || !isNotFound(error)) throw error;
    return async () => undefined;
  }
  return async () => {
    await client.tasks.Resume({ container_id: id }, { signal: undefined });
  };
}
