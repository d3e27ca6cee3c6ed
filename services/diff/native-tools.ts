// Layers through the native addon.
import { applyLayer, diffLayer } from '../../native/addon/index.ts';
import { Failure, invalidArgument } from '../lib/errors.ts';
import type { LayerTools } from './tools.ts';

export const nativeTools: LayerTools = {
  async apply(job, signal) {
    try {
      const { digest, size } = await applyLayer(
        {
          blob: job.blob,
          offset: 0,
          length: null,
          compression: job.detect ? 'detect' : 'none',
          root: job.folder,
          lowers: job.overlay?.lower ?? null,
          userXattr: job.overlay?.userXattr ?? false,
          maxSize: null,
          maxEntries: null,
          sync: job.sync,
        },
        signal,
      );
      return { digest, size: Number(size) };
    } catch (error) {
      throw signal.aborted ? error : classified(error);
    }
  },

  async compare({ left, right, file, compression, epoch }, signal) {
    try {
      const options = { left, right, overlay: false, userXattr: false, file, compression, epoch: epoch ?? null };
      const { digest, size, uncompressedDigest } = await diffLayer(options, signal);
      return { digest, size: Number(size), uncompressed: uncompressedDigest };
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
