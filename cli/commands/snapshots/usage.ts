import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { binarySize } from '../../output/units.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { allSnapshots } from './all.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '[flags] [<key> ...]',
  flags: { ...nounFlags, ...listFlags, b: flag.switch({ help: 'sizes in bytes' }) },
  examples: ['davit snapshots usage', 'davit snapshots usage -b web'],
  async run(context, flags, keys) {
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    const names = keys.length > 0 ? keys : (await allSnapshots(client, snapshotter)).map(({ name }) => name);
    const items = await Promise.all(
      names.map(async (key) => ({ key, ...(await client.snapshots.Usage({ snapshotter, key })) })),
    );
    printList(context, flags, {
      items,
      name: ({ key }) => key,
      header: ['KEY', 'SIZE', 'INODES'],
      row: ({ key, size, inodes }) => [key, flags.b ? size : binarySize(size), inodes],
      style: NARROW,
    });
  },
});
