import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readDocument, writeBlob } from '../../../client/images/content.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';

export const command = define({
  usage: '[flags] <digest>',
  description: 'Opens a blob in an editor, stores the result as a new blob and prints its digest.',
  flags: {
    validate: flag.choice(['', 'json'], '', { help: 'refuse a result that is not this' }),
    editor: flag.string({ help: 'editor to use', env: ['EDITOR'] }),
  },
  examples: ['davit content edit --validate json --editor vim sha256:…'],
  async run(context, flags, [first]) {
    const digest = required(first, 'digest');
    const editor = required(flags.editor, 'editor (--editor or $EDITOR)');
    const client = await context.client();
    const before = await readDocument(client, digest);
    const directory = mkdtempSync(path.join(tmpdir(), 'davit-edit-'));
    try {
      const file = path.join(directory, digest.replace(':', '-'));
      writeFileSync(file, before);
      const result = spawnSync('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
      if (result.status !== 0) throw new Error(`editor "${editor}": exit status ${result.status}`);
      const after = readFileSync(file);
      if (flags.validate === 'json') JSON.parse(after.toString('utf8'));
      const edited = `sha256:${createHash('sha256').update(after).digest('hex')}`;
      await writeBlob(client, { ref: `edit-${edited}`, digest: edited, size: after.length }, [after]);
      context.print(`${edited}\n`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
});
