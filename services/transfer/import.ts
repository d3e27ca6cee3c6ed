// Importing: an archive's blobs first, then what each image needs of them, then the images' names.
import type { Content } from '../content/api.ts';
import type { Images } from '../images/api.ts';
import { Failure, isNotFound, notFound } from '../lib/errors.ts';
import { samePlatform } from '../lib/platforms.ts';
import type { StorePlace, Transfers } from './api.ts';
import { readArchive } from './archive/read.ts';
import { isIndex, type Descriptor } from './documents.ts';
import type { ImageUnpacker } from './image.ts';
import { addLabels, neededLabels } from './labels.ts';
import type { Hold } from './lease.ts';
import { readChildren } from './read.ts';
import { importedNames, storedNames, storeImage } from './store.ts';
import { Tracker } from './tracker.ts';

export interface ImportDeps {
  readonly content: Content;
  readonly images: Images;
  readonly hold: Hold;
  readonly unpackImage: ImageUnpacker;
}

export function createImport({ content, images, hold, unpackImage }: ImportDeps): Transfers['import'] {
  return (scope, archive, to, report, signal) =>
    hold(scope, 'import', async (held) => {
      const tracker = new Tracker(report, to.name, 'downloading');
      const { namespace } = held;

      /** The labels by which an image holds its content; unpacks what is wanted. */
      const needed = async (descriptor: Descriptor, parent: Descriptor | undefined): Promise<void> => {
        if (!content.has(namespace, descriptor.digest)) {
          throw notFound(`archive: ${descriptor.mediaType} ${descriptor.digest} is named, but not there`);
        }
        tracker.add(descriptor, parent);
        const children = await readChildren(content, namespace, descriptor);
        await addLabels(content, namespace, descriptor.digest, neededLabels(children));
        const wanted = children.filter((child) => !isIndex(descriptor.mediaType) || selected(to, child));
        for (const child of wanted) await needed(child, descriptor);
        tracker.enter(descriptor, 'complete');
        const here = (): Promise<void> => Promise.resolve();
        if (children.length > 0) await unpackImage(held, to, descriptor, children, tracker, here, signal);
      };

      try {
        tracker.line('Importing');
        const { index, images: found } = await readArchive(content, held, archive, signal);
        for (const image of found.filter((each) => selected(to, each))) await needed(image, undefined);
        const stored: [names: readonly string[], descriptor: Descriptor][] = found.map((image) => [
          importedNames(to, image),
          image,
        ]);
        if (to.name !== '') {
          await addLabels(content, namespace, index.digest, neededLabels(found));
          stored.unshift([storedNames({ ...to, extraReferences: [] }, index.digest), index]);
        }
        for (const [names, descriptor] of stored) {
          if (names.length === 0) continue;
          const { platform: _platform, ...target } = descriptor;
          await storeImage(images, held, names, target, to);
          for (const name of names) tracker.image('saved', name, descriptor);
        }
        if (stored.every(([names]) => names.length === 0)) throw notFound('no image name found');
        tracker.line('Completed import');
      } catch (error) {
        throw error instanceof Failure && isNotFound(error) ? error.in('failed to import') : error;
      } finally {
        tracker.close();
      }
    });
}

function selected({ platforms }: StorePlace, { platform }: Descriptor): boolean {
  return platforms.length === 0 || platform === undefined || platforms.some((each) => samePlatform(each, platform));
}
