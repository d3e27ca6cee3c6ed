// Pulling: an image's documents from the top down, its layers side by side, each unpacked when it and
// all below it are here.
import type { Content } from '../content/api.ts';
import type { Images } from '../images/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure, invalidArgument, notFound } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { formatPlatform, samePlatform } from '../lib/platforms.ts';
import type { Reference } from '../lib/references.ts';
import type { StorePlace, Transfers } from './api.ts';
import { isConfig, isIndex, isManifest, MAX_DOCUMENT, type Descriptor } from './documents.ts';
import type { Downloader } from './download.ts';
import type { ImageUnpacker } from './image.ts';
import { addLabels, neededLabels, sourceLabel } from './labels.ts';
import type { Hold } from './lease.ts';
import { createLimit, type Limit } from '../lib/limit.ts';
import { readChildren } from './read.ts';
import type { Repository } from './registry/client.ts';
import type { OpenRepository } from './repositories.ts';
import { storedNames, storeImage } from './store.ts';
import { together } from './together.ts';
import { Tracker } from './tracker.ts';
import type { Verifiers } from './verifiers/verify.ts';

export interface PullDeps {
  readonly content: Content;
  readonly images: Images;
  readonly hold: Hold;
  readonly download: Downloader;
  readonly unpackImage: ImageUnpacker;
  readonly open: OpenRepository;
  readonly verifiers: Verifiers;
  /** Blobs of one image at a time. */
  readonly maxDownloads: number;
}

/** One pull under way. */
interface Pull {
  readonly scope: Scope;
  readonly reference: Reference;
  readonly from: Repository;
  readonly to: StorePlace;
  readonly tracker: Tracker;
  readonly limit: Limit;
  /** Documents seen, so that an index of indexes ends. */
  seen: number;
}

const MAX_DEPTH = 4;
const MAX_DOCUMENTS = 2000;

export function createPull(deps: PullDeps): Transfers['pull'] {
  const { content, images, hold, download, unpackImage } = deps;

  /** The blob is here, labelled with where it came from and with `more`. */
  async function fetch(pull: Pull, descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    const { scope, from, tracker, reference } = pull;
    if (descriptor.size === 0) throw invalidArgument(`descriptor ${descriptor.digest} says 0 bytes`);
    const progress = (bytes: number): void => tracker.moved(descriptor, bytes);
    const moved = await pull.limit(() => download({ scope, descriptor, from, progress }, signal), signal);
    tracker.enter(descriptor, moved ? 'complete' : 'already exists');
    const { labels } = content.info(scope.namespace, descriptor.digest);
    await addLabels(content, scope.namespace, descriptor.digest, sourceLabel(labels, reference));
  }

  /** A document and what it names. */
  async function children(pull: Pull, descriptor: Descriptor, signal: AbortSignal): Promise<readonly Descriptor[]> {
    if (descriptor.size > MAX_DOCUMENT) {
      throw new Failure(
        'resource exhausted',
        `${descriptor.digest}: a document of ${descriptor.size} bytes: resource exhausted`,
      );
    }
    if (++pull.seen > MAX_DOCUMENTS) {
      throw new Failure('resource exhausted', `more than ${MAX_DOCUMENTS} manifests in one image: resource exhausted`);
    }
    await fetch(pull, descriptor, signal);
    const { namespace } = pull.scope;
    const found = await readChildren(content, namespace, descriptor);
    await addLabels(content, namespace, descriptor.digest, neededLabels(found));
    return found;
  }

  async function visit(pull: Pull, descriptor: Descriptor, depth: number, wanted: boolean, signal: AbortSignal) {
    if (depth > MAX_DEPTH) throw invalidArgument(`indexes within indexes, more than ${MAX_DEPTH} deep`);
    const found = await children(pull, descriptor, signal);
    for (const child of found) {
      if (isIndex(descriptor.mediaType) && !selected(pull.to, child) && !pull.to.allMetadata) continue;
      if (wanted || !isManifest(descriptor.mediaType) || isConfig(child.mediaType)) pull.tracker.add(child, descriptor);
    }
    if (isManifest(descriptor.mediaType)) return await image(pull, descriptor, found, wanted, signal);
    const chosen = choose(pull.to, found);
    await together(
      signal,
      chosen.map((child) => (joint) => visitChild(pull, child, depth, wanted, joint)),
    );
  }

  async function visitChild(pull: Pull, child: Descriptor, depth: number, wanted: boolean, signal: AbortSignal) {
    if (!isManifest(child.mediaType) && !isIndex(child.mediaType)) return await fetch(pull, child, signal);
    await visit(pull, child, depth + 1, wanted && selected(pull.to, child), signal);
  }

  /** A manifest's config and, for a platform that is wanted, its layers. */
  async function image(
    pull: Pull,
    manifest: Descriptor,
    found: readonly Descriptor[],
    wanted: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const [config, ...layers] = found;
    if (config === undefined) return;
    if (!wanted) return await fetch(pull, config, signal);
    const arrivals = new Map<string, Promise<void>>();
    const arrived = (layer: Descriptor): Promise<void> => arrivals.get(layer.digest) ?? Promise.resolve();
    await together(signal, [
      async (joint) => {
        await fetch(pull, config, joint);
        await unpackImage(pull.scope, pull.to, manifest, found, pull.tracker, arrived, joint);
      },
      (joint) => {
        for (const layer of layers) {
          if (arrivals.has(layer.digest)) continue;
          arrivals.set(layer.digest, fetch(pull, layer, joint));
        }
        return Promise.all(arrivals.values());
      },
    ]);
  }

  return (scope, from, to, report, signal) =>
    hold(scope, `pull ${from.reference}`, async (held) => {
      const { repository, reference } = deps.open(from);
      const tracker = new Tracker(report, to.name || from.reference, 'downloading');
      const place = `OCI Registry (${from.reference})`;
      try {
        tracker.line(`Resolving from ${place}`);
        const descriptor = await repository.resolve(signal).catch((error: unknown) => {
          throw error instanceof Failure ? error.in(`failed to resolve image: ${from.reference}`) : error;
        });
        await deps.verifiers.verify(from.reference, descriptor, signal);
        tracker.line(`Pulling from ${place}`);
        tracker.image('fetching image content', to.name || from.reference, descriptor);
        tracker.add(descriptor, undefined);
        const limit = createLimit(deps.maxDownloads);
        const pull = { scope: held, reference, from: repository, to, tracker, limit, seen: 0 };
        await visit(pull, descriptor, 0, true, signal);
        const names = storedNames(to, descriptor.digest);
        await fault('transfer.pull.before-image');
        await storeImage(images, held, names, descriptor, to);
        await fault('transfer.pull.after-image');
        for (const name of names) tracker.image('saved', name, descriptor);
        tracker.line(`Completed pull from ${place}`);
      } finally {
        tracker.close();
        repository.close();
      }
    });
}

/** Whether the store wants a manifest's layers. */
function selected({ platforms }: StorePlace, { platform }: Descriptor): boolean {
  return platforms.length === 0 || platform === undefined || platforms.some((each) => samePlatform(each, platform));
}

/** Of an index: what is to be fetched, at least the documents. Throws `not found` when nothing suits. */
function choose(to: StorePlace, found: readonly Descriptor[]): readonly Descriptor[] {
  const suitable = found.filter((child) => selected(to, child));
  if (suitable.length === 0 && found.length > 0) {
    const has = found.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]));
    throw notFound(`image for ${to.platforms.map(formatPlatform).join(', ')}, there are ${has.join(', ')}`);
  }
  const chosen = to.allMetadata ? found : suitable;
  if (to.manifestLimit === 0) return chosen;
  const rank = ({ platform }: Descriptor): number => {
    const at = platform === undefined ? -1 : to.platforms.findIndex((each) => samePlatform(each, platform));
    return at < 0 ? to.platforms.length : at;
  };
  return chosen.toSorted((a, b) => rank(a) - rank(b)).slice(0, to.manifestLimit);
}
