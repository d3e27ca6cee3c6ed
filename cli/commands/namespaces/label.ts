import { define, required } from '../../command.ts';
import { labelArguments } from '../../run/labels.ts';

export const command = define({
  usage: '<name> <key>=<value> [<key>=<value> ...]',
  description: 'Sets labels of a namespace. An empty value removes the label.',
  flags: {},
  examples: ['davit namespaces label build team=a', 'davit namespaces label build team='],
  async run(context, _flags, [first, ...rest]) {
    const name = required(first, 'namespace name');
    required(rest[0], 'at least one label');
    const client = await context.client();
    const labels = labelArguments(rest);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    await client.namespaces.Update({ namespace: { name, labels }, update_mask: { paths } });
  },
});
