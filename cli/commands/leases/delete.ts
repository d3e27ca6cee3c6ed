import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags] <lease id> [<lease id> ...]',
  flags: { sync: flag.switch({ help: 'wait until what only the lease held is removed' }) },
  examples: ['davit leases rm build-7', 'davit leases rm --sync build-7'],
  async run(context, flags, ids) {
    required(ids[0], 'lease id');
    const client = await context.client();
    return await forEach(context, ids, async (id) => {
      // Collecting once, after the last, does for all.
      await client.leases.Delete({ id, sync: flags.sync && id === ids.at(-1) });
      context.print(`${id}\n`);
    });
  },
});
