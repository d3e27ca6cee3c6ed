import { exportImages } from '../../../client/images/export.ts';
import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { withArchive } from '../../io/archive.ts';
import { untilInterrupted } from '../../io/interrupt.ts';
import { bars, LONG_MS } from '../../output/bars.ts';
import { blobPart } from '../../output/parts.ts';

export const command = define({
  usage: '[flags] <file>|- <image> [<image> ...]',
  description: `Exports images to one archive: an OCI layout that \`docker load\` understands too. \`-\` writes to stdout.`,
  flags: {
    'skip-manifest-json': flag.switch({ help: "leave out Docker's manifest.json" }),
    'skip-non-distributable': flag.switch({ help: 'leave out layers that are not to be copied' }),
    platform: flag.string({ help: 'export what is for this platform' }),
    'all-platforms': flag.switch({ help: 'export all platforms; all must be here' }),
    local: flag.switch({ help: 'accepted for ctr; exporting is always done this way' }),
  },
  examples: ['davit images export app.tar example.com/app:1', 'davit images export - example.com/app:1 | docker load'],
  async run(context, flags, [file, ...images]) {
    const target = required(file, 'archive (a file, or - for stdout)');
    required(images[0], 'image');
    const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const root = await context.client();
    const shown = bars(process.stderr, LONG_MS);
    await untilInterrupted((signal) =>
      withArchive(target, signal, (output) =>
        exportImages(root.with({ signal }), images, output, {
          platform: flags['all-platforms'] ? undefined : platform,
          skipDockerManifest: flags['skip-manifest-json'],
          skipNonDistributable: flags['skip-non-distributable'],
          signal,
          progress: (blob, done) => shown.part(blobPart(blob, done === 0 ? 'waiting' : 'writing', done)),
        }),
      ),
    ).finally(() => shown.end());
  },
});
