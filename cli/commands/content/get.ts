import { readBlob } from '../../../client/images/content.ts';
import { define, required } from '../../command.ts';
import { stdout, writeAll } from '../../io/output.ts';

export const command = define({
  usage: '<digest>',
  description: "Writes a blob's bytes to stdout.",
  flags: {},
  examples: ['davit content get sha256:… | jq .'],
  async run(context, _flags, [digest]) {
    const client = await context.client();
    await writeAll(stdout(), readBlob(client, required(digest, 'digest')));
  },
});
