import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { TABBED } from '../../output/table.ts';
import { age, decimalSize } from '../../output/units.ts';

export const command = define({
  usage: '[flags] [<regexp>]',
  description: 'Shows uploads into the content store that are under way.',
  flags: {
    ...listFlags,
    timeout: flag.duration(0, { alias: 't', help: 'accepted for ctr; see the global --timeout' }),
    root: flag.string({ help: 'accepted for ctr; the daemon knows its root' }),
  },
  examples: ['davit content active', "davit content active '^layer-'"],
  async run(context, flags, [pattern]) {
    const client = await context.client();
    const { statuses } = await client.content.ListStatuses({
      filters: pattern === undefined ? [] : [`ref~=${quote(pattern)}`],
    });
    printList(context, flags, {
      items: statuses,
      name: ({ ref }) => ref,
      header: ['REF', 'SIZE', 'AGE', ''],
      row: (status) => [status.ref, decimalSize(status.offset), age(status.started_at), ''],
      style: TABBED,
      headerPadded: false,
      lastPadded: false,
    });
  },
});

/** For a filter: the expression may hold any character. */
function quote(pattern: string): string {
  return JSON.stringify(pattern);
}
