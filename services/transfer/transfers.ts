// Puts the transfers together.
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import type { Images } from '../images/api.ts';
import type { Leases } from '../leases/api.ts';
import type { Logger } from '../lib/log.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { Snapshots } from '../snapshots/api.ts';
import type { Transfers } from './api.ts';
import { createDownloader } from './download.ts';
import { createExport } from './export.ts';
import { createImageUnpacker } from './image.ts';
import { createImport } from './import.ts';
import { createLimit } from '../lib/limit.ts';
import { createJobs } from './jobs.ts';
import { createHold } from './lease.ts';
import { createPull } from './pull.ts';
import { createPush } from './push.ts';
import { createReferrers } from './referrers.ts';
import { createRepositories } from './repositories.ts';
import { createTag } from './tag.ts';
import { createUnpacker } from './unpack.ts';
import { createUploader } from './upload.ts';
import { createVerifiers } from './verifiers/verify.ts';

export interface TransfersDeps {
  readonly content: Content;
  readonly diffs: Diffs;
  readonly images: Images;
  readonly leases: Leases;
  readonly namespaces: Namespaces;
  readonly snapshots: Snapshots;
  readonly log: Logger;
}

export interface TransfersOptions {
  /** Folders in certs.d's layout, the first that knows a host decides. */
  readonly hostsFolders: readonly string[];
  readonly maxDownloads: number;
  readonly maxUploads: number;
  /** Layers that are unpacked are left to garbage collection. */
  readonly discardLayers: boolean;
  /** The programs that say whether an image may be pulled; `timeout` in milliseconds. */
  readonly verifiers: { readonly folder: string; readonly most: number; readonly timeout: number };
  /** Layers that are unpacked at the same time. */
  readonly maxUnpacks: number;
  /** Namespaces share content. */
  readonly shared: boolean;
  /** Where proxies are named. */
  readonly environment: NodeJS.ProcessEnv;
}

export function createTransfers(deps: TransfersDeps, options: TransfersOptions): Transfers {
  const { content } = deps;
  const open = createRepositories({ folders: options.hostsFolders, environment: options.environment });
  const download = createDownloader({ content, jobs: createJobs(), shared: options.shared });
  const unpack = createUnpacker({ ...deps, jobs: createJobs(), limit: createLimit(options.maxUnpacks) });
  const unpackImage = createImageUnpacker({ ...deps, unpack, discardLayers: options.discardLayers });
  const hold = createHold(deps);
  return {
    pull: createPull({
      ...deps,
      hold,
      download,
      unpackImage,
      open,
      verifiers: createVerifiers({ ...options.verifiers, log: deps.log }),
      maxDownloads: options.maxDownloads,
    }),
    push: createPush({ ...deps, upload: createUploader(content), open, maxUploads: options.maxUploads }),
    import: createImport({ ...deps, hold, unpackImage }),
    export: createExport({ ...deps, hold }),
    referrers: createReferrers(open),
    tag: createTag(deps.images),
  };
}
