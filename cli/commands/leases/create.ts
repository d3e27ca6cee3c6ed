import { randomBytes } from 'node:crypto';
import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { labelArguments } from '../../run/labels.ts';

const DAY = 24 * 3600 * 1000;

export const command = define({
  usage: '[flags] [<label>=<value> ...]',
  description: 'Creates a lease and prints its id. What is written under a lease is not garbage-collected.',
  flags: {
    id: flag.string({ help: 'id of the lease; made up when not given' }),
    expires: flag.duration(DAY, { alias: 'x', help: 'how long it holds; 0 for ever' }),
  },
  examples: ['davit leases create', 'davit leases create --id build-7 --expires 2h team=a'],
  async run(context, flags, args) {
    const client = await context.client();
    const labels = labelArguments(args);
    if (flags.expires > 0) {
      labels['containerd.io/gc.expire'] = `${new Date(Date.now() + flags.expires).toISOString().slice(0, 19)}Z`;
    }
    const id = flags.id ?? `${process.hrtime.bigint()}-${randomBytes(3).toString('hex')}`;
    const { lease } = await client.leases.Create({ id, labels });
    context.print(`${lease?.id ?? id}\n`);
  },
});
