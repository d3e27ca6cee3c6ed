import { define, required } from '../../command.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '<name> <active>',
  description: 'Makes a read-only snapshot that others can be based on from a writable one.',
  flags: nounFlags,
  examples: ['davit snapshots commit base work'],
  async run(context, flags, [name, key]) {
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    await client.snapshots.Commit({
      snapshotter,
      name: required(name, 'name'),
      key: required(key, 'key of the active snapshot'),
      labels: { 'containerd.io/gc.root': `${new Date().toISOString().slice(0, 19)}Z` },
    });
  },
});
