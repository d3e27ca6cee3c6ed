// Layers through the native addon.
import { applyLayer, diffLayer, makeErofs, settleLayer } from '../../native/addon/index.ts';
import { errnoCode, Failure, invalidArgument } from '../lib/errors.ts';
import type { LayerTools } from './tools.ts';

export const nativeTools: LayerTools = {
  async apply(job, signal) {
    try {
      const { digest, size, marked, deferred, usage } = await applyLayer(
        {
          blob: job.blob,
          offset: 0,
          length: null,
          compression: job.detect ? 'detect' : 'none',
          root: job.folder,
          lowers: job.overlay?.lower ?? null,
          userXattr: job.overlay?.userXattr ?? false,
          maxSize: job.limits.size,
          maxEntries: job.limits.entries,
          sync: job.sync,
        },
        signal,
      );
      return {
        digest,
        size: Number(size),
        marked: Number(marked),
        deferred: deferred ?? undefined,
        usage: usage === null ? undefined : { size: Number(usage.bytes), inodes: Number(usage.inodes) },
      };
    } catch (error) {
      throw signal.aborted ? error : classified(error);
    }
  },

  settle: (folder, deferred, { lower, userXattr }, signal) =>
    settleLayer({ root: folder, lowers: lower, deferred, userXattr }, signal),

  async compare(job, signal) {
    try {
      const written = await diffLayer(
        {
          left: job.left ?? null,
          right: job.right,
          overlay: job.overlay !== undefined,
          userXattr: job.overlay?.userXattr ?? false,
          file: job.file,
          compression: job.compression,
          ids: job.ids ?? null,
          epoch: job.epoch ?? null,
        },
        signal,
      );
      return { digest: written.digest, size: Number(written.size), uncompressed: written.uncompressedDigest };
    } catch (error) {
      if (signal.aborted) throw error;
      if (job.overlay !== undefined && errnoCode(error) === 'ENOTSUP') return undefined;
      throw classified(error);
    }
  },

  async image({ folder: root, file, epoch }, signal) {
    try {
      const { digest, size } = await makeErofs({ root, file, epoch: epoch ?? null, digest: true }, signal);
      return { digest, size: Number(size), uncompressed: digest };
    } catch (error) {
      throw signal.aborted ? error : classified(error);
    }
  },
};

/** What went wrong with a layer, in the API's classes: a broken archive is the client's, a full disk is not. */
function classified(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  switch (error.code) {
    case 'EBADMSG':
      return invalidArgument(error.message, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new Failure('resource exhausted', `${error.message}: resource exhausted`, { cause: error });
    default:
      return new Failure('unknown', error.message, { cause: error });
  }
}
