// Pushing: everything below a manifest before it, the image's own name last, so that nobody pulls half.
import type { Content } from '../content/api.ts';
import type { Images } from '../images/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure, isNotFound } from '../lib/errors.ts';
import { samePlatform } from '../lib/platforms.ts';
import type { Reference } from '../lib/references.ts';
import type { StorePlace, Transfers } from './api.ts';
import { isIndex, isLayer, isManifest, isNonDistributable, type Descriptor } from './documents.ts';
import { createLimit, type Limit } from '../lib/limit.ts';
import { missingLayer, readChildren, readDocument } from './read.ts';
import type { Repository } from './registry/client.ts';
import type { OpenRepository } from './repositories.ts';
import { descriptorOfImage } from './store.ts';
import { together } from './together.ts';
import { Tracker } from './tracker.ts';
import type { Uploader } from './upload.ts';

export interface PushDeps {
  readonly content: Content;
  readonly images: Images;
  readonly upload: Uploader;
  readonly open: OpenRepository;
  /** Blobs of one image at a time. */
  readonly maxUploads: number;
}

/** One push under way. */
interface Push {
  readonly scope: Scope;
  readonly from: StorePlace;
  readonly to: Repository;
  readonly reference: Reference;
  readonly tracker: Tracker;
  readonly limit: Limit;
}

export function createPush({ content, images, upload, open, maxUploads }: PushDeps): Transfers['push'] {
  async function visit(push: Push, descriptor: Descriptor, parent: Descriptor | undefined, signal: AbortSignal) {
    push.tracker.add(descriptor, parent);
    const found = await readChildren(content, push.scope.namespace, descriptor).catch(incomplete(descriptor));
    const wanted = found.filter((child) => selected(push.from, child));
    await together(
      signal,
      wanted.map((child) => (joint) => visitChild(push, child, descriptor, joint)),
    );
    await manifest(push, descriptor, parent === undefined, signal);
  }

  async function visitChild(push: Push, child: Descriptor, parent: Descriptor, signal: AbortSignal): Promise<void> {
    if (isManifest(child.mediaType) || isIndex(child.mediaType)) return await visit(push, child, parent, signal);
    const { tracker, scope, to, reference, limit } = push;
    tracker.add(child, parent);
    const progress = (bytes: number): void => tracker.moved(child, bytes);
    const moved = await limit(
      () => upload({ scope, descriptor: child, to, reference, progress }, signal),
      signal,
    ).catch(isLayer(child.mediaType) ? missingLayer(child) : incomplete(child));
    tracker.enter(child, moved ? 'complete' : 'already exists');
  }

  async function manifest(push: Push, descriptor: Descriptor, root: boolean, signal: AbortSignal): Promise<void> {
    const { scope, to, reference, tracker } = push;
    const body = await readDocument(content, scope.namespace, descriptor.digest);
    const name = root ? (reference.tag ?? reference.digest ?? descriptor.digest) : descriptor.digest;
    const moved = await to.putManifest(name, descriptor, body, signal);
    tracker.enter(descriptor, moved ? 'complete' : 'already exists');
  }

  return async (scope, from, place, report, signal) => {
    const image = images.get(scope.namespace, from.name);
    const descriptor = descriptorOfImage(image);
    const { repository, reference } = open(place);
    const tracker = new Tracker(report, image.name, 'uploading');
    const where = `OCI Registry (${place.reference})`;
    try {
      if (reference.digest !== undefined && reference.digest !== descriptor.digest) {
        throw new Failure(
          'invalid argument',
          `image "${image.name}" is ${descriptor.digest}, not what "${place.reference}" says: invalid argument`,
        );
      }
      tracker.line(`Pushing to ${where}`);
      tracker.image('pushing content', image.name, descriptor);
      const limit = createLimit(maxUploads);
      await visit({ scope, from, to: repository, reference, tracker, limit }, descriptor, undefined, signal);
      tracker.image('pushed content', image.name, descriptor);
      tracker.line(`Completed push to ${where}`);
    } catch (error) {
      throw error instanceof Failure ? error.in(`failed to push image: ${image.name}`) : error;
    } finally {
      tracker.close();
      repository.close();
    }
  };
}

function selected({ platforms }: StorePlace, { platform, mediaType }: Descriptor): boolean {
  if (isNonDistributable(mediaType)) return false;
  return platforms.length === 0 || platform === undefined || platforms.some((each) => samePlatform(each, platform));
}

/** Images are often here for one platform only. */
function incomplete({ digest, platform }: Descriptor): (error: unknown) => never {
  return (error) => {
    if (!isNotFound(error) || !(error instanceof Failure) || !error.message.startsWith('content digest ')) throw error;
    const what = platform === undefined ? digest : `${digest} (${platform.os}/${platform.architecture})`;
    throw new Failure(
      'not found',
      `${what} is not here; pull all platforms first, or push one with --platform: content digest ${digest}: not found`,
      { cause: error },
    );
  };
}
