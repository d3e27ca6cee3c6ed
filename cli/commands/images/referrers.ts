import { normalizeReference } from '../../../client/images/reference.ts';
import { listReferrers } from '../../../client/images/transfer.ts';
import type { Descriptor } from '../../../client/images/types.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { oneLine } from '../../output/line.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { binarySize } from '../../output/units.ts';
import { registryFlags, withRegistry } from '../../registry/flags.ts';

export const command = define({
  usage: '[flags] <ref>',
  description: `Lists what refers to an image in its registry: signatures, lists of parts, other documents about it. One
of them is pulled by its digest.`,
  flags: {
    ...registryFlags,
    ...listFlags,
    'artifact-type': flag.string({ takes: 'type', help: 'only those of this type' }),
  },
  examples: [
    'davit images referrers registry.example.com/app:1',
    'davit images referrers --artifact-type application/spdx+json --quiet registry.example.com/app:1',
  ],
  async run(context, flags, [ref]) {
    const name = normalizeReference(required(ref, 'image reference'));
    const client = await context.client();
    await withRegistry(context, name, flags, async (registry, signal) => {
      const found = await listReferrers(client.with({ signal }), registry);
      const wanted = flags['artifact-type'];
      printList<Descriptor>(context, flags, {
        items: found.filter(({ artifactType }) => wanted === undefined || artifactType === wanted),
        name: ({ digest }) => digest,
        header: ['DIGEST', 'ARTIFACT TYPE', 'SIZE'],
        row: ({ digest, artifactType = '-', size }) => [digest, oneLine(artifactType), binarySize(size)],
        style: NARROW,
      });
    });
  },
});
