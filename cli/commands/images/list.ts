import type { Image } from '../../../proto/gen/containerd.services.images.v1.ts';
import type { Client } from '../../../client/connect.ts';
import { isNotFound } from '../../../client/errors.ts';
import { imagePlatforms, imageSize } from '../../../client/images/inspect.ts';
import { formatPlatform, hostPlatform } from '../../../client/images/platform.ts';
import { fromWire } from '../../../client/images/resolve.ts';
import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { plain } from '../../output/json.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { binarySize, labelList } from '../../output/units.ts';

interface Row {
  readonly image: Image;
  readonly size: number | undefined;
  readonly platforms: readonly string[];
}

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: { ...listFlags, digests: flag.switch({ help: 'accepted for docker: digests are always shown, in full' }) },
  examples: ['davit images', 'davit images ls', 'davit images ls -q', "davit images ls 'name~=busybox'"],
  async run(context, flags, filters) {
    const client = await context.client();
    const { images } = await client.images.List({ filters });
    const items = flags.quiet
      ? images.map((image) => ({ image, size: undefined, platforms: [] }))
      : await Promise.all(images.map((image) => describe(client, image)));
    printList<Row>(context, flags, {
      items,
      name: ({ image }) => image.name,
      header: ['REF', 'TYPE', 'DIGEST', 'SIZE', 'PLATFORMS', 'LABELS'],
      row: ({ image, size, platforms }) => [
        image.name,
        image.target?.media_type ?? '',
        image.target?.digest ?? '',
        size === undefined ? '-' : binarySize(size),
        platforms.join(',') || '-',
        labelList(image.labels, '-'),
      ],
      style: NARROW,
      json: ({ image, size, platforms }) => ({ ...(plain(image) as object), size, platforms }),
    });
  },
});

/** Content that is missing leaves its columns open: the list is still a list. */
async function describe(client: Client, image: Image): Promise<Row> {
  if (image.target === null) return { image, size: undefined, platforms: [] };
  const target = fromWire(image.target);
  const tolerate = (error: unknown): undefined => {
    if (!isNotFound(error)) throw error;
    return undefined;
  };
  const [size, platforms] = await Promise.all([
    imageSize(client, target, hostPlatform()).catch(tolerate),
    imagePlatforms(client, target).catch(tolerate),
  ]);
  return { image, size, platforms: (platforms ?? []).map(formatPlatform).toSorted() };
}
