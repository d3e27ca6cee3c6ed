import { define, required } from '../../command.ts';
import { openSession } from '../../io/session.ts';
import { deleteTask } from '../../run/task.ts';

export const command = define({
  usage: 'CONTAINER',
  description: `Connects this terminal to a running container and waits for its end; the exit status is the
container's. In a terminal, ctrl-p ctrl-q leaves it running.`,
  flags: {},
  examples: ['davit tasks attach web'],
  async run(context, _flags, [first]) {
    const id = required(first, 'container id');
    const client = await context.client();
    const { process: task } = await client.tasks.Get({ container_id: id });
    if (task === null) return 1;
    const { stdin, stdout, stderr, terminal } = task;
    if (stdout.includes('://') && !stdout.startsWith('fifo://')) {
      throw new Error(`container "${id}": its output goes to ${stdout}, there is nothing to attach to`);
    }
    const paths = {
      stdin: stdin.replace(/^fifo:\/\//, ''),
      stdout: stdout.replace(/^fifo:\/\//, ''),
      stderr: stderr.replace(/^fifo:\/\//, ''),
    };
    const session = openSession(client, { container: id, execId: '', terminal, paths });
    session.watch();
    const outcome = await session.finish();
    if (outcome.kind === 'detached') return 0;
    if (outcome.kind === 'exited') await deleteTask(client, id, paths);
    return outcome.status;
  },
});
