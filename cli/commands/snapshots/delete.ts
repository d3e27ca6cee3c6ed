import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '<key> [<key> ...]',
  flags: nounFlags,
  examples: ['davit snapshots rm work'],
  async run(context, flags, keys) {
    required(keys[0], 'snapshot key');
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    return await forEach(context, keys, async (key) => {
      await client.snapshots.Remove({ snapshotter, key });
    });
  },
});
