import { flag } from '../../args/flags.ts';
import { parse } from '../../args/parse.ts';
import { define, MissingArgument } from '../../command.ts';
import { command as importing } from './import.ts';

export const command = define({
  usage: '[flags]',
  description:
    'Reads the images of an archive, of `davit save`, `docker save` or an OCI layout; from stdin without --input.',
  flags: {
    input: flag.string({ alias: 'i', takes: 'file', help: 'the archive' }),
    platform: flag.string({ help: 'keep the content for this platform' }),
  },
  examples: ['davit load -i app.tar', 'docker save app:1 | davit load'],
  async run(context, flags) {
    if (flags.input === undefined && process.stdin.isTTY)
      throw new MissingArgument('no archive comes from a terminal; --input names a file');
    const platform = flags.platform === undefined ? [] : ['--platform', flags.platform];
    const { values } = parse(importing.flags, platform, { stopAtFirst: false, env: context.env });
    return await importing.run(context, values, [flags.input ?? '-']);
  },
});
