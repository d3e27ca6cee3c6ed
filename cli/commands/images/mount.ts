import path from 'node:path';
import { isAlreadyExists } from '../../../client/errors.ts';
import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { chainIds, imageTarget, readImage } from '../../../client/images/resolve.ts';
import { unpack } from '../../../client/images/unpack.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { mountAll } from '../../rootfs/mount.ts';
import { snapshotterFlag } from '../../run/flags.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

export const command = define({
  usage: '[flags] <ref> <target>',
  description: `Mounts an image's root file system on a directory. \`davit images unmount\` undoes it.
The snapshot behind it is named after the directory.`,
  flags: {
    snapshotter: snapshotterFlag,
    rw: flag.switch({ help: 'writable; what is written stays in the snapshot' }),
    platform: flag.string({ help: "which of the image's platforms" }),
    expiration: flag.duration(0, { help: 'accepted for ctr' }),
    'sync-fs': flag.switch({ help: 'write layers through to the disk when unpacking' }),
  },
  examples: ['davit images mount example.com/app:1 /mnt', 'davit images mount --rw example.com/app:1 /mnt'],
  async run(context, flags, [ref, directory]) {
    const name = required(ref, 'image ref');
    const target = path.resolve(required(directory, 'target directory'));
    const root = await context.client();
    const snapshotter = await defaultSnapshotter(root, flags.snapshotter);
    await withLease(root, async (client) => {
      const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
      const { manifest, config } = await readImage(client, await imageTarget(client, name), platform);
      const parent = chainIds(config.rootfs.diff_ids).at(-1) ?? '';
      await unpack(client, manifest, config, { snapshotter, syncFs: flags['sync-fs'] });
      // The mount is to outlive this command and its lease.
      const request = {
        snapshotter,
        key: target,
        parent,
        labels: { 'containerd.io/gc.root': new Date().toISOString() },
      };
      const { mounts } = await (flags.rw ? client.snapshots.Prepare(request) : client.snapshots.View(request)).catch(
        (error: unknown) => {
          if (isAlreadyExists(error)) return client.snapshots.Mounts({ snapshotter, key: target });
          throw error;
        },
      );
      context.print(`${parent}\n`);
      try {
        mountAll(mounts, target);
      } catch (error) {
        await client.snapshots.Remove({ snapshotter, key: target });
        throw error;
      }
    });
    context.print(`${directory}\n`);
  },
});
