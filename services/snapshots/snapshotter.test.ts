import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { notFound } from '../lib/errors.ts';
import { createLogger } from '../lib/log.ts';
import { MetadataStore } from '../metadata/store.ts';
import type { Driver } from './api.ts';
import { createNativeDriver } from './drivers/native.ts';
import { createOverlayDriver } from './drivers/overlayfs.ts';
import { plainFiles } from './testing/plain-files.ts';
import { createSnapshotter } from './snapshotter.ts';
import { snapshotTable } from './store.ts';
import { snapshotterSuite, type Opened } from './testing/suite.ts';

async function open(makeDriver: (root: string) => Promise<Driver>): Promise<Opened> {
  const root = await mkdtemp(path.join(tmpdir(), 'snapshotter-'));
  const driver = await makeDriver(path.join(root, 'driver'));
  const metadata = new MetadataStore(path.join(root, 'metadata'));
  const table = snapshotTable(metadata, driver.name);
  await metadata.open();
  const leases = {
    hold: (_: unknown, scope: { lease: string | undefined }) => {
      if (scope.lease === undefined) return false;
      throw notFound(`lease ${scope.lease}`);
    },
    release: () => undefined,
  };
  const events = { publish: () => undefined };
  const log = createLogger({ level: 'error', format: 'text', stream: process.stderr });
  const subject = createSnapshotter({
    driver,
    table,
    metadata,
    leases,
    events,
    collector: { deleted: () => undefined },
    log,
  });
  await subject.recover();
  return {
    subject,
    makeLease: () => Promise.resolve(undefined),
    async close() {
      await subject.cleanup();
      await metadata.close();
      await rm(root, { recursive: true });
    },
  };
}

snapshotterSuite('overlayfs', { rebase: true, cleanup: true, classified: true }, () =>
  open((root) => createOverlayDriver(root, plainFiles, { mountOptions: [], upperdirLabel: false })),
);
snapshotterSuite('native', { rebase: false, cleanup: true, classified: true }, () =>
  open((root) => createNativeDriver(root, plainFiles)),
);
