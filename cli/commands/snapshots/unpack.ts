import { readManifest } from '../../../client/images/resolve.ts';
import type { ImageDocument } from '../../../client/images/resolve.ts';
import { readJson } from '../../../client/images/content.ts';
import { unpack } from '../../../client/images/unpack.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '[flags] <digest>',
  description: 'Unpacks the layers of a manifest; prints the name of the snapshot that they amount to.',
  flags: { ...nounFlags, 'sync-fs': flag.switch({ help: 'write layers through to the disk' }) },
  examples: ['davit snapshots unpack sha256:…'],
  async run(context, flags, [first]) {
    const digest = required(first, 'digest of a manifest');
    const root = await context.client();
    const snapshotter = await defaultSnapshotter(root, flags.snapshotter);
    await withLease(root, async (client) => {
      const manifest = await readManifest(client, { digest });
      const config = await readJson<ImageDocument>(client, manifest.config);
      const name = await unpack(client, manifest, config, { snapshotter, syncFs: flags['sync-fs'] });
      context.print(`${name}\n`);
    });
  },
});
