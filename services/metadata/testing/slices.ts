// The slices that keep records, put together as in the daemon, over a folder of the test's own.
import path from 'node:path';
import { createContainers, type ContainerStore } from '../../containers/store.ts';
import { createContent, type ContentStore } from '../../content/store.ts';
import type { Images } from '../../images/api.ts';
import { createImages } from '../../images/store.ts';
import type { Leases, Scope } from '../../leases/api.ts';
import { createLeases } from '../../leases/store.ts';
import type { Logger } from '../../lib/log.ts';
import type { Namespaces } from '../../namespaces/api.ts';
import { createNamespaces } from '../../namespaces/store.ts';
import type { Driver } from '../../snapshots/api.ts';
import { createSnapshots, type DaemonSnapshots } from '../../snapshots/snapshots.ts';
import { createGarbageCollector, type RunningCollector } from '../gc.ts';
import type { GcOptions } from '../gc-scheduler.ts';
import { MetadataStore } from '../store.ts';

export interface Slices extends AsyncDisposable {
  readonly metadata: MetadataStore;
  readonly gc: RunningCollector;
  readonly namespaces: Namespaces;
  readonly leases: Leases;
  readonly images: Images;
  readonly containers: ContainerStore;
  readonly content: ContentStore;
  readonly snapshots: DaemonSnapshots;
  /** `namespace topic first-field` of everything that was published. */
  readonly published: string[];
  /** Warnings and errors that were logged. */
  readonly logged: string[];
}

export interface SlicesOptions {
  readonly sharing?: 'shared' | 'isolated';
  readonly gc?: Partial<GcOptions>;
  /** Where content is, when not in the folder. */
  readonly content?: string;
  readonly drivers?: readonly Driver[];
}

/** Collection runs only when a test asks for it, unless `gc` says otherwise. */
const MANUAL: GcOptions = {
  pauseThreshold: 0.02,
  deletionThreshold: 0,
  mutationThreshold: 0,
  scheduleDelay: 0,
  startupDelay: 3_600_000,
};

export async function openSlices(folder: string, options: SlicesOptions = {}): Promise<Slices> {
  const published: string[] = [];
  const logged: string[] = [];
  const log = quiet(logged);
  const events = {
    publish(namespace: string, topic: string, _message: string, fields: object) {
      published.push(`${namespace} ${topic} ${String(Object.values(fields)[0])}`);
    },
  };
  const observer = { collected: () => undefined };
  const metadata = new MetadataStore(path.join(folder, 'metadata'));
  const gc = createGarbageCollector({ metadata, log, options: { ...MANUAL, ...options.gc }, observer });
  const namespaces = createNamespaces({ metadata, events });
  const leases = createLeases({ metadata, gc, namespaces });
  const images = createImages({ metadata, gc, leases, namespaces, events });
  const containers = createContainers({ metadata, gc, namespaces, events });
  const content = createContent({
    metadata,
    gc,
    leases,
    namespaces,
    events,
    folder: options.content ?? path.join(folder, 'content'),
    sharing: options.sharing ?? 'shared',
  });
  const snapshots = createSnapshots(
    { metadata, gc, leases, namespaces, events, log, boot: 'boot', shared: true },
    options.drivers ?? [],
  );
  await metadata.open();
  await content.start();
  await snapshots.recover();
  gc.start();
  return {
    metadata,
    gc,
    namespaces,
    leases,
    images,
    containers,
    content,
    snapshots,
    published,
    logged,
    async [Symbol.asyncDispose]() {
      await gc.stop();
      await content.stop();
      await snapshots.close();
      await metadata.close();
    },
  };
}

export function scope(namespace: string, lease?: string): Scope {
  return { namespace, lease };
}

function quiet(lines: string[]): Logger {
  const note = (message: string): void => void lines.push(message);
  const log: Logger = {
    debugEnabled: false,
    debug: () => undefined,
    info: () => undefined,
    warn: note,
    error: note,
    with: () => log,
  };
  return log;
}
