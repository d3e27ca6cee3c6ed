import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags] <ref> [<ref> ...]',
  flags: { sync: flag.switch({ help: 'wait until what only these images held is removed' }) },
  examples: ['davit images rm example.com/app:1', 'davit images rm --sync $(davit images ls -q)'],
  async run(context, flags, refs) {
    required(refs[0], 'image ref');
    const client = await context.client();
    return await forEach(
      context,
      refs,
      async (name) => {
        // Collecting once, after the last, does for all.
        await client.images.Delete({ name, sync: flags.sync && name === refs.at(-1) });
        context.print(`${name}\n`);
      },
      'image not found',
    );
  },
});
