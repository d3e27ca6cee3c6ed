import { writeBlob } from '../../../client/images/content.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';

export const command = define({
  usage: '[flags] <key>',
  description: 'Stores stdin as a blob. The key names the upload while it lasts.',
  flags: {
    'expected-size': flag.integer({ help: 'refuse unless it has this many bytes' }),
    'expected-digest': flag.string({ help: 'refuse unless it has this digest' }),
    label: flag.list({ help: 'label for the blob (KEY=VALUE)' }),
  },
  examples: [
    'davit content ingest notes < notes.txt',
    'davit content ingest --expected-digest sha256:… layer < layer.tar.gz',
  ],
  async run(context, flags, [key]) {
    const ref = required(key, 'key');
    const client = await context.client();
    const { labelArguments } = await import('../../run/labels.ts');
    await writeBlob(
      client,
      { ref, digest: flags['expected-digest'], size: flags['expected-size'], labels: labelArguments(flags.label) },
      process.stdin as AsyncIterable<Buffer>,
    );
  },
});
