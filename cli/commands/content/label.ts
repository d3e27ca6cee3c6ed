import { define, required } from '../../command.ts';
import { labelList } from '../../output/units.ts';
import { labelArguments } from '../../run/labels.ts';

export const command = define({
  usage: '<digest> [<label>=<value> ...]',
  description: 'Sets labels of a blob and prints all it has. An empty value removes the label.',
  flags: {},
  examples: ['davit content label sha256:… team=a', 'davit content label sha256:… team='],
  async run(context, _flags, [first, ...rest]) {
    const digest = required(first, 'digest');
    const client = await context.client();
    const labels = labelArguments(rest);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length === 0) required(undefined, 'at least one label');
    const { info } = await client.content.Update({ info: { digest, labels }, update_mask: { paths } });
    context.print(`${labelList(info?.labels ?? {}, '')}\n`);
  },
});
