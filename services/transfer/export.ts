// Exporting: images with all that they need, as one archive.
import type { Content } from '../content/api.ts';
import type { Images } from '../images/api.ts';
import { notFound, notImplemented } from '../lib/errors.ts';
import { samePlatform } from '../lib/platforms.ts';
import type { Transfers } from './api.ts';
import { writeArchive } from './archive/write.ts';
import type { Hold } from './lease.ts';
import { descriptorOfImage } from './store.ts';

export interface ExportDeps {
  readonly content: Content;
  readonly images: Images;
  readonly hold: Hold;
}

export function createExport({ content, images, hold }: ExportDeps): Transfers['export'] {
  return (scope, from, to, report) =>
    hold(scope, 'export', async ({ namespace }) => {
      const line = (event: string): void =>
        report({ event, name: '', parents: [], progress: 0, total: 0, descriptor: undefined });
      if (from.extraReferences.some(({ isPrefix }) => isPrefix)) {
        throw notImplemented('prefix lookup on export not implemented');
      }
      const names = [from.name, ...from.extraReferences.map(({ name }) => name)].filter((name) => name !== '');
      if (names.length === 0) throw notFound('no image name to export');
      line('Exporting');
      const found = names.map((name) => ({ name, descriptor: descriptorOfImage(images.get(namespace, name)) }));
      const bytes = writeArchive(content, found, {
        namespace,
        skipDockerManifest: to.skipDockerManifest,
        skipNonDistributable: to.skipNonDistributable,
        selected: ({ platform }) =>
          to.platforms.length === 0 ||
          platform === undefined ||
          to.platforms.some((each) => samePlatform(each, platform)),
      });
      await to.send(bytes);
      line('Completed export');
    });
}
