import { define, required } from '../../command.ts';
import { format, jsonText } from '../../output/json.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';
import { mountCommands } from './make.ts';

export const command = define({
  usage: '<target> <key>',
  description: 'Prints the commands that mount a snapshot on a directory.',
  flags: { ...nounFlags, format },
  examples: ['davit snapshots mounts /mnt web', 'sh -c "$(davit snapshots mounts /mnt web)"'],
  async run(context, flags, [target, key]) {
    const directory = required(target, 'target directory');
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    const { mounts } = await client.snapshots.Mounts({ snapshotter, key: required(key, 'snapshot key') });
    context.print(flags.format === 'json' ? jsonText(mounts) : mountCommands(directory, mounts));
  },
});
