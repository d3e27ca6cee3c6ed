import { normalizeReference } from '../../../client/images/reference.ts';
import { parse } from '../../args/parse.ts';
import { flag } from '../../args/flags.ts';
import { define, MissingArgument, required } from '../../command.ts';
import { command as exporting } from './export.ts';

export const command = define({
  usage: '[flags] <image> [<image> ...]',
  description:
    'Writes images to an archive that `davit load`, `docker load` and others read; to stdout without --output.',
  flags: {
    output: flag.string({ alias: 'o', takes: 'file', help: 'the archive' }),
    platform: flag.string({ help: 'save what is for this platform' }),
  },
  examples: ['davit save -o app.tar app:1', 'davit save app:1 | ssh other davit load'],
  async run(context, flags, images) {
    required(images[0], 'image');
    if (flags.output === undefined && process.stdout.isTTY)
      throw new MissingArgument('an archive is nothing for a terminal; --output names a file');
    const platform = flags.platform === undefined ? [] : ['--platform', flags.platform];
    const { values } = parse(exporting.flags, platform, { stopAtFirst: false, env: context.env });
    return await exporting.run(context, values, [flags.output ?? '-', ...images.map(normalizeReference)]);
  },
});
