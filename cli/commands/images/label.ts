import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { labelList } from '../../output/units.ts';
import { labelArguments } from '../../run/labels.ts';

export const command = define({
  usage: '[flags] <name> [<key>=<value> ...]',
  description: 'Sets labels of an image and prints all it has. An empty value removes the label.',
  flags: { 'replace-all': flag.switch({ alias: 'r', help: 'remove all other labels' }) },
  examples: ['davit images label example.com/app:1 team=a', 'davit images label -r example.com/app:1'],
  async run(context, flags, [first, ...rest]) {
    const name = required(first, 'image name');
    const client = await context.client();
    const labels = labelArguments(rest);
    const paths = flags['replace-all'] ? ['labels'] : Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length === 0) required(undefined, 'at least one label, or --replace-all,');
    const { image } = await client.images.Update({ image: { name, labels }, update_mask: { paths } });
    context.print(`${labelList(image?.labels ?? {}, '')}\n`);
  },
});
