import { define, required } from '../../command.ts';
import { flag } from '../../args/flags.ts';
import { specOf } from '../containers/json.ts';
import { runTask, taskFlags } from '../../run/task.ts';
import type { Spec } from '../../../spec/types.ts';

export const command = define({
  usage: '[flags] CONTAINER',
  description: 'Starts a container that has been created, and waits for its end unless --detach is given.',
  flags: { ...taskFlags, 'no-pivot': flag.switch({ help: 'do not use pivot_root' }) },
  examples: ['davit tasks start web', 'davit tasks start -d --log-uri file:///var/log/web.log web'],
  async run(context, flags, [first]) {
    const id = required(first, 'container id');
    const client = await context.client();
    const { container } = await client.containers.Get({ id });
    if (container === null) return 1;
    const spec = specOf(container) as Spec | null;
    const { snapshotter, snapshot_key: key } = container;
    const mounts = key === '' ? [] : (await client.snapshots.Mounts({ snapshotter, key })).mounts;
    const terminal = spec?.process?.terminal ?? false;
    const outcome = await runTask(client, { container: id, terminal, mounts, noPivot: flags['no-pivot'], flags });
    if (outcome?.kind === 'detached') context.note(`\ndavit: left ${id} running\n`);
    return outcome === undefined || outcome.kind === 'detached' ? 0 : outcome.status;
  },
});
