import { findImage } from '../../../client/images/resolve.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';
import { bars, LONG_MS } from '../../output/bars.ts';

const GONE = 'image not found';

export const command = define({
  usage: '[flags] <ref> [<ref> ...]',
  flags: {
    force: flag.switch({ alias: 'f', help: 'accepted for docker: an image that is gone already is never an error' }),
    sync: flag.switch({ help: 'wait until what only these images held is removed' }),
  },
  examples: ['davit images rm example.com/app:1', 'davit images rm --sync $(davit images ls -q)'],
  async run(context, flags, refs) {
    required(refs[0], 'image ref');
    const client = await context.client();
    const names: string[] = [];
    const found = await forEach(
      context,
      refs,
      async (ref) => void names.push((await findImage(client, ref)).name),
      GONE,
    );
    const shown = bars(process.stderr, LONG_MS);
    const gone: string[] = [];
    const state = (name: string, event: string): void =>
      shown.part({
        key: name,
        label: name,
        event,
        done: 0,
        total: undefined,
        last: event === 'removed',
        measured: false,
      });
    if (flags.sync) for (const name of names) state(name, 'waiting');
    const removed = await forEach(
      context,
      names,
      async (name) => {
        if (flags.sync) state(name, 'removing');
        // Collecting once, after the last, does for all.
        await client.images.Delete({ name, sync: flags.sync && name === names.at(-1) });
        state(name, 'removed');
        if (flags.sync) gone.push(`${name}\n`);
        else context.print(`${name}\n`);
      },
      GONE,
    ).finally(() => {
      // Below the bars, where both are on one terminal.
      shown.end();
      context.print(gone.join(''));
    });
    return Math.max(found, removed);
  },
});
