// The daemon's snapshots on a folder, for tests.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { createLeases } from '../../leases/store.ts';
import { createLogger } from '../../lib/log.ts';
import { createGarbageCollector } from '../../metadata/gc.ts';
import { MetadataStore } from '../../metadata/store.ts';
import { createNamespaces } from '../../namespaces/store.ts';
import type { Driver } from '../api.ts';
import { createNativeDriver } from '../drivers/native.ts';
import { nativeFiles } from '../drivers/native-files.ts';
import { createOverlayDriver } from '../drivers/overlayfs.ts';
import { createSnapshots } from '../snapshots.ts';

const GC_OPTIONS = {
  pauseThreshold: 0,
  deletionThreshold: 0,
  mutationThreshold: 0,
  scheduleDelay: 0,
  startupDelay: 3_600_000,
};

export const overlay = (root: string): Promise<Driver> =>
  createOverlayDriver(root, nativeFiles, { mountOptions: [], upperdirLabel: false });
export const native = (root: string): Promise<Driver> => createNativeDriver(root, nativeFiles);

/** As compose.ts makes them. */
export async function start(root: string, makeDriver: typeof overlay, boot = 'boot-1', shared = true) {
  const log = createLogger({ level: 'error', format: 'text', stream: process.stderr });
  await log.open();
  const published: string[] = [];
  const events = {
    publish: (namespace: string, topic: string, _name: string, message: object) =>
      void published.push(`${namespace} ${topic} ${JSON.stringify(message)}`),
  };
  const metadata = new MetadataStore(path.join(root, 'metadata'));
  const gc = createGarbageCollector({ metadata, log, options: GC_OPTIONS, observer: { collected: () => undefined } });
  const namespaces = createNamespaces({ metadata, events });
  const leases = createLeases({ metadata, gc, namespaces });
  const driver = await makeDriver(path.join(root, 'driver'));
  const snapshots = createSnapshots({ metadata, gc, leases, namespaces, events, log, boot, shared }, [driver]);
  await metadata.open();
  await snapshots.recover();
  gc.start();
  const subject = snapshots.get(driver.name);
  return {
    subject,
    snapshots,
    leases,
    gc,
    namespaces,
    published,
    trees: async () => (await readdir(path.join(root, 'driver/snapshots'))).sort(),
    /** Stops without writing out what is not on disk yet. */
    crash: async () => {
      await gc.stop();
      await metadata.close();
    },
    stop: async () => {
      await gc.stop();
      await snapshots.close();
      await subject.cleanup();
      await metadata.close();
    },
  };
}
