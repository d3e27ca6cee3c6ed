import path from 'node:path';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { unmount } from '../../rootfs/mount.ts';
import { snapshotterFlag } from '../../run/flags.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

export const command = define({
  usage: '[flags] <target>',
  description: 'Unmounts what `davit images mount` has mounted.',
  flags: { snapshotter: snapshotterFlag, rm: flag.switch({ help: 'remove the snapshot too' }) },
  examples: ['davit images unmount --rm /mnt'],
  async run(context, flags, [directory]) {
    const target = path.resolve(required(directory, 'target directory'));
    unmount(target);
    if (flags.rm) {
      const client = await context.client();
      const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
      await client.snapshots.Remove({ snapshotter, key: target });
    }
    context.print(`${directory}\n`);
  },
});
