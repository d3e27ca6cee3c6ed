import { convertImage } from '../../../client/images/convert.ts';
import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, MissingArgument, required } from '../../command.ts';
import { layerPart, layerConverter, type LayerForm } from '../../images/recompress.ts';
import { untilInterrupted } from '../../io/interrupt.ts';
import { bars } from '../../output/bars.ts';

export const command = define({
  usage: '[flags] <source_ref> <target_ref>',
  description: `Stores an image in other types under another name. What needs no change is shared by both. Prints the
digest of the new one.`,
  flags: {
    uncompress: flag.switch({ help: 'layers as plain archives' }),
    gzip: flag.switch({ help: 'layers compressed with gzip' }),
    zstd: flag.switch({ help: 'layers compressed with zstd; with --oci, as Docker has no type for it' }),
    erofs: flag.switch({ help: 'layers as EROFS images, for snapshotter erofs; with --oci; needs root' }),
    oci: flag.switch({ help: "OCI's types in place of Docker's" }),
    platform: flag.list({ help: 'keep what is for this platform; may be given several times' }),
    'all-platforms': flag.switch({ help: 'keep all platforms; all must be here' }),
  },
  examples: [
    'davit images convert --oci --zstd example.com/app:1 example.com/app:1-zstd',
    'davit images convert --erofs example.com/app:1 example.com/app:1-erofs',
    'davit images convert --uncompress --all-platforms example.com/app:1 example.com/app:1-plain',
  ],
  async run(context, flags, [source, target]) {
    const [from, to] = [required(source, 'source reference'), required(target, 'target reference')];
    const form = formOf(flags);
    const named = flags.platform.length > 0 ? flags.platform.map(parsePlatform) : [hostPlatform()];
    const root = await context.client();
    const shown = bars(process.stderr);
    const { digest } = await untilInterrupted((signal) =>
      withLease(root.with({ signal }), (client) =>
        convertImage(client, from, to, {
          platforms: flags['all-platforms'] ? [] : named,
          toOci: flags.oci || form === 'zstd' || form === 'erofs',
          ...(form === undefined
            ? {}
            : { layer: layerConverter(client, form, (step) => shown.part(layerPart(step)), signal) }),
        }),
      ),
    ).finally(() => shown.end());
    context.print(`${digest}\n`);
  },
});

function formOf(flags: Readonly<Record<'uncompress' | 'gzip' | 'zstd' | 'erofs', boolean>>): LayerForm | undefined {
  const asked = [
    flags.uncompress && 'none',
    flags.gzip && 'gzip',
    flags.zstd && 'zstd',
    flags.erofs && 'erofs',
  ] as const;
  const [one, ...more] = asked.filter((each) => each !== false);
  if (more.length > 0)
    throw new MissingArgument('--uncompress, --gzip, --zstd and --erofs exclude each other; one of them');
  return one;
}
