import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { WIDE } from '../../output/table.ts';
import { containerJson } from './json.ts';

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: listFlags,
  examples: ['davit containers ls', "davit containers ls 'labels.team==a'", 'davit containers ls --format json'],
  async run(context, flags, filters) {
    const client = await context.client();
    const { containers } = await client.containers.List({ filters });
    printList(context, flags, {
      items: containers,
      name: ({ id }) => id,
      header: ['CONTAINER', 'IMAGE', 'RUNTIME'],
      row: ({ id, image, runtime }) => [id, image || '-', runtime?.name ?? ''],
      style: WIDE,
      json: containerJson,
    });
  },
});
