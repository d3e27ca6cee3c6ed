import type { Image } from '../../../proto/gen/containerd.services.images.v1.ts';
import type { Client } from '../../../client/connect.ts';
import { isNotFound } from '../../../client/errors.ts';
import { contentExists, imageParts } from '../../../client/images/inspect.ts';
import { hostPlatform } from '../../../client/images/platform.ts';
import { chainIds, fromWire, readImage } from '../../../client/images/resolve.ts';
import type { Descriptor } from '../../../client/images/types.ts';
import { snapshotExists } from '../../../client/images/unpack.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { NARROW } from '../../output/table.ts';
import { binarySize } from '../../output/units.ts';
import { snapshotterFlag } from '../../run/flags.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

interface State {
  readonly ref: string;
  readonly type: string;
  readonly digest: string;
  readonly status: string;
  readonly size: string;
  readonly unpacked: boolean;
}

export const command = define({
  usage: '[flags] [<filter> ...]',
  description: 'Shows which images are complete (all content is here) and unpacked (ready to run).',
  flags: { ...listFlags, snapshotter: snapshotterFlag },
  examples: ['davit images check', "davit images check -q 'name~=busybox'"],
  async run(context, flags, filters) {
    const client = await context.client();
    const [{ images }, snapshotter] = await Promise.all([
      client.images.List({ filters }),
      defaultSnapshotter(client, flags.snapshotter),
    ]);
    const states = await Promise.all(images.map((image) => check(client, image, snapshotter)));
    printList(context, flags, {
      items: flags.quiet ? states.filter(({ status, unpacked }) => status.startsWith('complete') && unpacked) : states,
      name: ({ ref }) => ref,
      header: ['REF', 'TYPE', 'DIGEST', 'STATUS', 'SIZE', 'UNPACKED'],
      row: ({ ref, type, digest, status, size, unpacked }) => [ref, type, digest, status, size, String(unpacked)],
      style: NARROW,
      lastPadded: false,
    });
  },
});

async function check(client: Client, image: Image, snapshotter: string): Promise<State> {
  const target = image.target === null ? undefined : fromWire(image.target);
  const base = { ref: image.name, type: target?.mediaType ?? '', digest: target?.digest ?? '' };
  const parts = target === undefined ? undefined : await presentParts(client, target);
  if (target === undefined || parts === undefined)
    return { ...base, status: 'unavailable (0/?)', size: '-', unpacked: false };
  const here = parts.filter(({ present }) => present);
  const complete = here.length === parts.length;
  const sum = (list: readonly { readonly size: number }[]): number => list.reduce((total, { size }) => total + size, 0);
  return {
    ...base,
    status: `${complete ? 'complete' : 'incomplete'} (${here.length}/${parts.length})`,
    size: `${binarySize(sum(here))}/${binarySize(sum(parts))}`,
    unpacked: complete && (await isUnpacked(client, target, snapshotter)),
  };
}

/** Undefined when not even the manifest is here. */
async function presentParts(
  client: Client,
  target: Descriptor,
): Promise<{ size: number; present: boolean }[] | undefined> {
  try {
    const parts = (await imageParts(client, target, hostPlatform())).slice(1);
    return await Promise.all(
      parts.map(async ({ size, digest }) => ({ size, present: await contentExists(client, digest) })),
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function isUnpacked(client: Client, target: Descriptor, snapshotter: string): Promise<boolean> {
  const { config } = await readImage(client, target, hostPlatform());
  const top = chainIds(config.rootfs.diff_ids).at(-1);
  return top !== undefined && (await snapshotExists(client, snapshotter, top));
}
