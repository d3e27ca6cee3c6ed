import { define } from '../../command.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { makeArguments, makeFlags, printMounts } from './make.ts';

export const command = define({
  usage: '[flags] <key> [<parent>]',
  description: 'Makes a writable snapshot on a committed one. It stays until it is removed.',
  flags: makeFlags,
  examples: ['davit snapshots prepare work sha256:…', 'sh -c "$(davit snapshots prepare -t /mnt work sha256:…)"'],
  async run(context, flags, args) {
    const request = makeArguments(args);
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    const { mounts } = await client.snapshots.Prepare({ snapshotter, ...request });
    printMounts(context, flags, mounts);
  },
});
