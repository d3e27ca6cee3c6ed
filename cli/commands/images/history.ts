import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { imageTarget, readImage } from '../../../client/images/resolve.ts';
import type { Descriptor } from '../../../client/images/types.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { oneLine } from '../../output/line.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { age, binarySize } from '../../output/units.ts';

interface Step {
  /** Undefined for a step that changed no file. */
  readonly layer: Descriptor | undefined;
  readonly created: string;
  readonly by: string;
}

const MAX_COMMAND = 60;

export const command = define({
  usage: '[flags] <ref>',
  description: 'Shows the steps by which an image was built, the last one first, and what each adds.',
  flags: {
    ...listFlags,
    platform: flag.string({ help: 'of the image for this platform' }),
    'no-trunc': flag.switch({ help: 'show commands in full' }),
  },
  examples: ['davit history nginx', 'davit images history --no-trunc example.com/app:1'],
  async run(context, flags, [ref]) {
    const client = await context.client();
    const target = await imageTarget(client, required(ref, 'image ref'));
    const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const { manifest, config } = await readImage(client, target, platform);
    const layers = [...manifest.layers];
    const steps: Step[] = (config.history ?? []).map(({ empty_layer: empty, created = '', created_by: by = '' }) => ({
      layer: empty === true ? undefined : layers.shift(),
      created,
      by,
    }));
    // Layers that the history does not know.
    for (const layer of layers) steps.push({ layer, created: '', by: '' });
    printList<Step>(context, flags, {
      items: steps.toReversed(),
      name: ({ layer }) => layer?.digest ?? '<none>',
      header: ['LAYER', 'CREATED', 'SIZE', 'CREATED BY'],
      row: ({ layer, created, by }) => [
        layer?.digest.slice(0, 'sha256:'.length + 12) ?? '<none>',
        Number.isNaN(Date.parse(created))
          ? '-'
          : `${age({ seconds: String(Math.floor(Date.parse(created) / 1000)), nanos: 0 })} ago`,
        layer === undefined ? '0.0 B' : binarySize(layer.size),
        flags['no-trunc'] ? oneLine(by) : oneLine(by, MAX_COMMAND),
      ],
      style: NARROW,
      json: ({ layer, created, by }) => ({ layer: layer?.digest, size: layer?.size ?? 0, created, createdBy: by }),
    });
  },
});
