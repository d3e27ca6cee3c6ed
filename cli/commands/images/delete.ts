import { findImage } from '../../../client/images/resolve.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags] <ref> [<ref> ...]',
  flags: {
    force: flag.switch({ alias: 'f', help: 'accepted for docker: an image that is gone already is never an error' }),
    sync: flag.switch({ help: 'wait until what only these images held is removed' }),
  },
  examples: ['davit images rm example.com/app:1', 'davit images rm --sync $(davit images ls -q)'],
  async run(context, flags, refs) {
    required(refs[0], 'image ref');
    const client = await context.client();
    return await forEach(
      context,
      refs,
      async (ref) => {
        const { name } = await findImage(client, ref);
        // Collecting once, after the last, does for all.
        await client.images.Delete({ name, sync: flags.sync && ref === refs.at(-1) });
        context.print(`${name}\n`);
      },
      'image not found',
    );
  },
});
