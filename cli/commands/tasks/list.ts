import { Status } from '../../../proto/gen/containerd.v1.types.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { plain } from '../../output/json.ts';
import { WIDE } from '../../output/table.ts';

export const command = define({
  usage: '[flags]',
  flags: listFlags,
  examples: ['davit tasks ls', 'davit tasks ls -q', 'davit tasks ls --format json | jq ".[].pid"'],
  async run(context, flags) {
    const client = await context.client();
    const { tasks } = await client.tasks.List({});
    printList(context, flags, {
      items: tasks,
      name: ({ id }) => id,
      header: ['TASK', 'PID', 'STATUS'],
      row: ({ id, pid, status }) => [id, String(pid), statusName(status)],
      style: WIDE,
      lastPadded: false,
      json: (task) => ({ ...(plain(task) as object), status: statusName(task.status) }),
    });
  },
});

function statusName(status: number): string {
  return Object.entries(Status).find(([, value]) => value === status)?.[0] ?? 'UNKNOWN';
}
