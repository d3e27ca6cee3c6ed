import { isAlreadyExists } from '../../../client/errors.ts';
import { findImage } from '../../../client/images/resolve.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags] <source_ref> <target_ref> [<target_ref> ...]',
  description: 'Gives an image further names.',
  flags: {
    force: flag.switch({ help: 'take the name away from an image that has it' }),
    local: flag.switch({ help: 'accepted for ctr; tagging is always done this way' }),
    'skip-reference-check': flag.switch({ help: 'accepted for ctr; names are not checked' }),
  },
  examples: ['davit images tag example.com/app:1 example.com/app:latest', 'davit images tag --force app:2 app:latest'],
  async run(context, flags, [source, ...targets]) {
    required(targets[0], 'target reference');
    const client = await context.client();
    const { name } = await findImage(client, required(source, 'source reference'));
    const { image } = await client.images.Get({ name });
    return await forEach(context, targets, async (target) => {
      const tagged = { name: target, target: image?.target, labels: image?.labels };
      try {
        await client.images.Create({ image: tagged });
      } catch (error) {
        if (!flags.force || !isAlreadyExists(error)) throw error;
        await client.images.Update({ image: tagged });
      }
      context.print(`${target}\n`);
    });
  },
});
