import type { Info } from '../../../proto/gen/containerd.services.content.v1.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { TABBED } from '../../output/table.ts';
import { age, decimalSize, labelList } from '../../output/units.ts';

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: listFlags,
  examples: ['davit content ls', 'davit content ls -q'],
  async run(context, flags, filters) {
    const client = await context.client();
    const items: Info[] = [];
    for await (const { info } of client.content.List({ filters })) items.push(...info);
    printList(context, flags, {
      items,
      name: ({ digest }) => digest,
      header: ['DIGEST', 'SIZE', 'AGE', 'LABELS'],
      row: (info) => [info.digest, decimalSize(info.size), age(info.created_at), labelList(info.labels, '-')],
      style: TABBED,
      headerPadded: false,
      lastPadded: false,
    });
  },
});
