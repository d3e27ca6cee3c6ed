import { define, required } from '../../command.ts';
import { labelArguments } from '../../run/labels.ts';

export const command = define({
  usage: '<name> [<key>=<value> ...]',
  description: 'Creates a namespace. Writing anything in a namespace creates it too; this is for its labels.',
  flags: {},
  examples: [
    'davit namespaces create build',
    'davit namespaces create build containerd.io/defaults/snapshotter=native',
  ],
  async run(context, _flags, [name, ...labels]) {
    const client = await context.client();
    await client.namespaces.Create({
      namespace: { name: required(name, 'namespace name'), labels: labelArguments(labels) },
    });
  },
});
