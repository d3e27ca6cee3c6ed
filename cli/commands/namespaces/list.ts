import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { labelList } from '../../output/units.ts';

export const command = define({
  usage: '[flags]',
  flags: listFlags,
  examples: ['davit namespaces ls', 'davit namespaces ls -q'],
  async run(context, flags) {
    const client = await context.client();
    const { namespaces } = await client.namespaces.List({});
    printList(context, flags, {
      items: namespaces,
      name: (each) => each.name,
      header: ['NAME', 'LABELS'],
      row: (each) => [each.name, labelList(each.labels, '')],
      style: NARROW,
    });
  },
});
