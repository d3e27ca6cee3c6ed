import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags]',
  description: `Removes images that no container was made from: those without a tag, with --all every one. Waits until
what only they held is gone.`,
  flags: {
    all: flag.switch({ alias: 'a', help: 'images with a tag too' }),
    'dry-run': flag.switch({ help: 'print what would be removed' }),
  },
  examples: ['davit images prune', 'davit images prune --all --dry-run'],
  async run(context, flags) {
    const client = await context.client();
    const [{ images }, { containers }] = await Promise.all([client.images.List({}), client.containers.List({})]);
    const used = new Set(containers.map(({ image }) => image));
    const unused = images.filter(({ name }) => !used.has(name) && (flags.all || name.includes('@')));
    return await forEach(
      context,
      unused.map(({ name }) => name),
      async (name) => {
        if (!flags['dry-run']) await client.images.Delete({ name, sync: name === unused.at(-1)?.name });
        context.print(`${name}\n`);
      },
      'image not found',
    );
  },
});
