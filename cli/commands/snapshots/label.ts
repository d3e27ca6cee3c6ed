import { define, required } from '../../command.ts';
import { labelList } from '../../output/units.ts';
import { labelArguments } from '../../run/labels.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '<name> [<label>=<value> ...]',
  description: 'Sets labels of a snapshot and prints all it has. An empty value removes the label.',
  flags: nounFlags,
  examples: ['davit snapshots label web team=a'],
  async run(context, flags, [first, ...rest]) {
    const name = required(first, 'snapshot name');
    const client = await context.client();
    const snapshotter = await defaultSnapshotter(client, flags.snapshotter);
    const labels = labelArguments(rest);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length === 0) required(undefined, 'at least one label');
    const { info } = await client.snapshots.Update({ snapshotter, info: { name, labels }, update_mask: { paths } });
    context.print(`${labelList(info?.labels ?? {}, '')}\n`);
  },
});
