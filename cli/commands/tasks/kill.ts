import type { Client } from '../../../client/connect.ts';
import { isNotFound } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { parseSignal } from '../../io/signals.ts';

const STOP_SIGNAL_LABEL = 'io.containerd.image.config.stop-signal';

export const command = define({
  usage: '[flags] CONTAINER',
  description: "Sends a signal: the one asked for, else the image's stop signal, else SIGTERM.",
  flags: {
    signal: flag.string({ alias: 's', help: 'signal to send: 9, KILL, SIGKILL' }),
    'exec-id': flag.string({ help: "send it to this process instead of the container's first" }),
    all: flag.switch({ alias: 'a', help: 'send it to all processes in the container' }),
  },
  examples: ['davit tasks kill web', 'davit tasks kill -s KILL -a web'],
  async run(context, flags, [first]) {
    const id = required(first, 'container id');
    if (flags.all && flags['exec-id'] !== undefined) throw new Error('--all and --exec-id cannot be used together');
    const asked = flags.signal === undefined ? undefined : parseSignal(flags.signal);
    const client = await context.client();
    const signal = asked ?? (await stopSignal(client, id));
    await client.tasks.Kill({ container_id: id, exec_id: flags['exec-id'] ?? '', signal, all: flags.all });
  },
});

async function stopSignal(client: Client, id: string): Promise<number> {
  try {
    const { container } = await client.containers.Get({ id });
    return parseSignal(container?.labels[STOP_SIGNAL_LABEL] || 'SIGTERM');
  } catch (error) {
    if (isNotFound(error)) return parseSignal('SIGTERM');
    throw error;
  }
}
