import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '<digest> [<digest> ...]',
  description: 'Deletes blobs. The digests of those that are deleted are printed.',
  flags: {},
  examples: ['davit content rm sha256:…'],
  async run(context, _flags, digests) {
    required(digests[0], 'digest');
    const client = await context.client();
    return await forEach(context, digests, async (digest) => {
      await client.content.Delete({ digest });
      context.print(`${digest}\n`);
    });
  },
});
