import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { flag } from '../args/flags.ts';
import { MissingArgument, define, required } from '../command.ts';
import { createContainer, type Created } from '../run/create.ts';
import { endTask } from '../run/end.ts';
import { containerFlags } from '../run/flags.ts';
import { runTask, taskFlags } from '../run/task.ts';

export const command = define({
  usage: '[flags] IMAGE|ROOTFS ID [COMMAND] [ARG...]',
  description: `Creates a container, starts it, and waits for its end with its stdio connected to this
terminal. The exit status is the container's. In a terminal (-t), ctrl-p ctrl-q leaves the
container running.`,
  flags: {
    rm: flag.switch({ help: 'remove the container when it has ended; not with --detach' }),
    ...containerFlags,
    ...taskFlags,
  },
  stopAtFirst: true,
  examples: [
    'davit run --rm example.com/busybox:1 hello echo hello',
    'davit run --rm -t example.com/busybox:1 shell sh',
    'davit run -d --log-uri file:///tmp/web.log --memory-limit 100m --cpus 0.5 example.com/web:1 web',
    'davit run --rm --mount type=bind,src=$PWD,dst=/work,options=rbind:ro --cwd /work example.com/busybox:1 job ls',
    'davit run --rm --rootfs /srv/rootfs job sh -c "exit 3"',
  ],
  async run(context, flags, args) {
    if (flags.rm && flags.detach) throw new MissingArgument('--detach and --rm cannot be used together; one of them');
    const configured = flags.config !== undefined && !flags.rootfs && args.length === 1;
    const [image, name] = configured ? [undefined, args[0]] : args;
    if (!configured) required(image, flags.rootfs ? 'rootfs directory' : 'image ref');
    const id = required(name, 'container id');
    const client = await context.client();
    const created = await createContainer(client, { id, image, args: args.slice(configured ? 1 : 2), flags });
    let gone = false;
    try {
      const outcome = await runTask(client, {
        container: id,
        terminal: flags.tty,
        mounts: created.mounts,
        noPivot: flags['no-pivot'],
        flags,
      });
      if (outcome === undefined) return 0;
      if (outcome.kind === 'detached') {
        gone = true;
        context.note(`\ndavit: left ${id} running; \`davit tasks attach ${id}\` returns to it\n`);
        return 0;
      }
      // Nobody reads what it writes, and nobody would remove it later.
      if (outcome.kind === 'output gone' && flags.rm) await endTask(client, id);
      else gone = outcome.kind === 'output gone';
      return outcome.status;
    } finally {
      await created.released;
      if (flags.rm && !gone) await removeContainer(client, created);
    }
  },
});

async function removeContainer(client: Client, created: Created): Promise<void> {
  const { id, snapshot } = created;
  const ignoreMissing = (error: unknown): void => {
    if (!isNotFound(error)) throw error;
  };
  await Promise.all([
    client.containers.Delete({ id }, { signal: undefined }).catch(ignoreMissing),
    snapshot && client.snapshots.Remove(snapshot, { signal: undefined }).catch(ignoreMissing),
  ]);
}
