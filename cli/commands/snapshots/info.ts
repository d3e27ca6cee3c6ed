import { define, required } from '../../command.ts';
import { jsonText } from '../../output/json.ts';
import { rfc3339Nano } from '../../output/units.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { kindName } from './all.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '<key>',
  description: 'Prints what the daemon knows of a snapshot, as JSON.',
  flags: nounFlags,
  examples: ['davit snapshots info web'],
  async run(context, flags, [key]) {
    const name = required(key, 'snapshot key');
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    const { info } = await client.snapshots.Stat({ snapshotter, key: name });
    if (info === null) return;
    const labels =
      Object.keys(info.labels).length > 0 ? Object.fromEntries(Object.entries(info.labels).toSorted()) : undefined;
    context.print(
      jsonText({
        Kind: kindName(info.kind),
        Name: info.name,
        Parent: info.parent === '' ? undefined : info.parent,
        Labels: labels,
        Created: rfc3339Nano(info.created_at),
        Updated: rfc3339Nano(info.updated_at),
      }),
    );
  },
});
