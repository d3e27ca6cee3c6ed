// Applies and computes layers, in native code: what is decided here is where, from what and how.
import { randomBytes } from 'node:crypto';
import type { Content, Writer } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { failedPrecondition, Failure, isAlreadyExists } from '../lib/errors.ts';
import type { Labels } from '../lib/labels.ts';
import type { Logger } from '../lib/log.ts';
import type { Mount } from '../lib/mount.ts';
import type { TemporaryMounts } from '../mounts/api.ts';
import type { CompareOptions, Diffs, Layer } from './api.ts';
import { GZIP, mayBeCompressed, UNCOMPRESSED, writtenCompression } from './media-types.ts';
import { readablePlace, readOnly, writablePlace, type Place } from './place.ts';
import type { LayerTools } from './tools.ts';

const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed';

export interface DifferDeps {
  readonly content: Content;
  readonly mounts: TemporaryMounts;
  readonly tools: LayerTools;
  readonly log: Logger;
}

export function createDiffer({ content, mounts: temporary, tools, log }: DifferDeps): Diffs {
  function blobOf(namespace: string, layer: Layer): string {
    try {
      const { size } = content.info(namespace, layer.digest);
      if (size !== layer.size) {
        throw failedPrecondition(
          `layer ${layer.digest}: the blob has ${size} bytes, the descriptor says ${layer.size}`,
        );
      }
      return content.path(namespace, layer.digest);
    } catch (error) {
      throw error instanceof Failure ? error.in('failed to get reader from content store') : error;
    }
  }

  /** Runs `work` with a folder that shows the files of `mounts`, read-only. */
  function reading<T>(mounts: readonly Mount[], work: (folder: string) => Promise<T>): Promise<T> {
    const place = readablePlace(mounts);
    return place === undefined ? temporary.withMounted(readOnly(mounts), work) : work(place);
  }

  async function write(
    scope: Scope,
    writer: Writer,
    left: string,
    right: string,
    options: CompareOptions,
    mediaType: string,
    signal: AbortSignal,
  ): Promise<Layer> {
    await writer.truncate();
    const compression = writtenCompression(mediaType);
    const written = await tools.compare(
      { left, right, file: writer.file, compression, epoch: options.sourceDateEpoch },
      signal,
    );
    writer.appended(written.size, written.digest);
    const labels: Labels =
      compression === 'none'
        ? options.labels
        : new Map([...options.labels, [UNCOMPRESSED_LABEL, written.uncompressed]]);
    try {
      await writer.commit({ labels });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      await labelUncompressed(scope.namespace, written.digest, labels);
    }
    return { mediaType, digest: written.digest, size: written.size };
  }

  /** A blob that was there before may not say yet what it is uncompressed. */
  async function labelUncompressed(namespace: string, digest: string, labels: Labels): Promise<void> {
    const uncompressed = labels.get(UNCOMPRESSED_LABEL);
    if (uncompressed === undefined || content.info(namespace, digest).labels.has(UNCOMPRESSED_LABEL)) return;
    const label = new Map([[UNCOMPRESSED_LABEL, uncompressed]]);
    await content.update(namespace, digest, label, [`labels.${UNCOMPRESSED_LABEL}`]);
  }

  return {
    async apply(namespace, layer, mounts, options, signal) {
      const detect = mayBeCompressed(layer.mediaType);
      const blob = blobOf(namespace, layer);
      const applyTo = (place: Place) => tools.apply({ blob, detect, ...place, sync: options.sync }, signal);
      const place = writablePlace(mounts);
      const { digest, size } =
        place === undefined
          ? await temporary.withMounted(mounts, (folder) => applyTo({ folder, overlay: undefined }))
          : await applyTo(place);
      return { mediaType: UNCOMPRESSED, digest, size };
    },

    async compare(scope, left, right, options, signal) {
      const mediaType = options.mediaType === '' ? GZIP : options.mediaType;
      writtenCompression(mediaType);
      const ref = options.ref === '' ? `diff-${Date.now()}-${randomBytes(6).toString('hex')}` : options.ref;
      return reading(left, (leftFolder) =>
        reading(right, async (rightFolder) => {
          const writer = await content.writer(scope, { ref });
          let committed = false;
          try {
            const layer = await write(scope, writer, leftFolder, rightFolder, options, mediaType, signal);
            committed = true;
            return layer;
          } finally {
            await writer.close();
            if (!committed && options.ref === '') {
              await content.abort(scope, ref).catch((error: unknown) => {
                log.warn('ingest of a failed diff not removed', { ref, error });
              });
            }
          }
        }),
      );
    },
  };
}
