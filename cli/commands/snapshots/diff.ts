import { readBlob } from '../../../client/images/content.ts';
import { viewSnapshot } from '../../../client/images/view.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { stdout, writeAll } from '../../io/output.ts';
import { labelArguments } from '../../run/labels.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '[flags] <key> [<other>]',
  description: 'Writes what a snapshot changes against its parent, or against another one, to stdout as a layer.',
  flags: {
    ...nounFlags,
    'media-type': flag.stringOr('application/vnd.oci.image.layer.v1.tar+gzip', { help: 'kind of layer' }),
    ref: flag.string({ help: 'name of the upload into the content store' }),
    keep: flag.switch({ help: 'keep the layer in the content store too; its digest goes to stderr' }),
    label: flag.list({ help: 'label for the kept layer (KEY=VALUE)' }),
  },
  examples: ['davit snapshots diff web | tar tz', 'davit snapshots diff --keep web > layer.tar.gz'],
  async run(context, flags, [first, other]) {
    const key = required(first, 'snapshot key');
    const root = await context.client();
    const snapshotter = await defaultSnapshotter(root, flags.snapshotter);
    const request = { media_type: flags['media-type'], ref: flags.ref ?? '' };
    await withLease(root, async (client) => {
      const { info } = await client.snapshots.Stat({ snapshotter, key });
      // As ctr: with two names the first is the older one.
      const [lower, upper] = other === undefined ? [info?.parent ?? '', key] : [key, other];
      const labels = {
        ...labelArguments(flags.label),
        ...(flags.keep ? { 'containerd.io/gc.root': new Date().toISOString() } : {}),
      };
      await using left = await viewSnapshot(client, snapshotter, lower);
      await using right = await viewSnapshot(client, snapshotter, upper);
      const mounts = { left: [...left.mounts], right: [...right.mounts] };
      const { diff } = await client.diff.Diff({ ...request, labels, ...mounts });
      if (diff === null) return;
      await writeAll(stdout(), readBlob(client, diff.digest));
      if (flags.keep) context.note(`${diff.digest}\n`);
    });
  },
});
