import { define, required } from '../../command.ts';
import { labelList } from '../../output/units.ts';
import { labelArguments } from '../../run/labels.ts';

export const command = define({
  usage: 'CONTAINER <key>=<value> [<key>=<value> ...]',
  description: 'Sets labels of a container and prints all it has. An empty value removes the label.',
  flags: {},
  examples: ['davit containers label web team=a'],
  async run(context, _flags, [first, ...rest]) {
    const id = required(first, 'container id');
    const client = await context.client();
    const labels = labelArguments(rest);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length === 0) required(undefined, 'at least one label');
    const { container } = await client.containers.Update({ container: { id, labels }, update_mask: { paths } });
    context.print(`${labelList(container?.labels ?? {}, '')}\n`);
  },
});
