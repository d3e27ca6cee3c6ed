import { define } from '../../command.ts';
import { plain } from '../../output/json.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { allSnapshots, kindName } from './all.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: { ...nounFlags, ...listFlags },
  examples: ['davit snapshots ls', 'davit snapshots --snapshotter native ls', 'davit snapshots ls kind==active'],
  async run(context, flags, filters) {
    const client = await context.client();
    const items = await allSnapshots(client, await defaultSnapshotter(client, flags.snapshotter), filters);
    printList(context, flags, {
      items,
      name: ({ name }) => name,
      header: ['KEY', 'PARENT', 'KIND'],
      row: ({ name, parent, kind }) => [name, parent, kindName(kind)],
      style: NARROW,
      json: (info) => ({ ...(plain(info) as object), kind: kindName(info.kind) }),
    });
  },
});
