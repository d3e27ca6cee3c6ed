import { unpackMessage } from '../../../client/any.ts';
import type { ProcessInfo } from '../../../proto/gen/containerd.v1.types.ts';
import { define, required } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { compactJson, withoutZeros } from '../../output/json.ts';
import { WIDE } from '../../output/table.ts';

export const command = define({
  usage: '[flags] CONTAINER',
  description: "Lists the processes in a container, with the host's pids.",
  flags: listFlags,
  examples: ['davit tasks ps web'],
  async run(context, flags, [first]) {
    const client = await context.client();
    const { processes } = await client.tasks.ListPids({ container_id: required(first, 'container id') });
    printList(context, flags, {
      items: processes,
      name: ({ pid }) => String(pid),
      header: ['PID', 'INFO'],
      row: (process) => [String(process.pid), info(process)],
      style: WIDE,
      headerPadded: false,
      lastPadded: false,
      json: ({ pid, info }) => ({ pid, info: info && unpackMessage(info) }),
    });
  },
});

/** As Go prints a message: `exec_id:"e1"` in braces. */
function info({ info }: ProcessInfo): string {
  return info === null ? '-' : compactJson(withoutZeros(unpackMessage(info) ?? info));
}
