import { hostPlatform } from '../../../client/images/platform.ts';
import { chainIds, imageTarget, readImage } from '../../../client/images/resolve.ts';
import { imageSize } from '../../../client/images/inspect.ts';
import { define, required } from '../../command.ts';
import { format, jsonText } from '../../output/json.ts';
import { binarySize } from '../../output/units.ts';
import { snapshotterFlag } from '../../run/flags.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

export const command = define({
  usage: '[flags] <ref>',
  description: 'Shows what an image takes: its content, and the snapshots it is unpacked to.',
  flags: { snapshotter: snapshotterFlag, format },
  examples: ['davit images usage example.com/app:1'],
  async run(context, flags, [ref]) {
    const name = required(ref, 'image ref');
    const client = await context.client();
    const [target, snapshotter] = await Promise.all([
      imageTarget(client, name),
      defaultSnapshotter(client, flags.snapshotter),
    ]);
    const content = await imageSize(client, target, hostPlatform());
    const { config } = await readImage(client, target, hostPlatform());
    let unpacked = 0;
    for (const key of chainIds(config.rootfs.diff_ids))
      unpacked += Number((await client.snapshots.Usage({ snapshotter, key })).size);
    if (flags.format === 'json') context.print(jsonText({ content, snapshots: unpacked, total: content + unpacked }));
    else
      context.print(
        `Content:   ${binarySize(content)}\nSnapshots: ${binarySize(unpacked)}\nTotal:     ${binarySize(content + unpacked)}\n`,
      );
  },
});
