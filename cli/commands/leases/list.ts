import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { labelList, rfc3339 } from '../../output/units.ts';

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: listFlags,
  examples: ['davit leases ls', 'davit leases ls \'labels."team"==a\''],
  async run(context, flags, filters) {
    const client = await context.client();
    const { leases } = await client.leases.List({ filters });
    printList(context, flags, {
      items: leases,
      name: (lease) => lease.id,
      header: ['ID', 'CREATED AT', 'LABELS'],
      row: (lease) => [lease.id, rfc3339(lease.created_at), labelList(lease.labels, '-')],
      style: NARROW,
    });
  },
});
