// Applies and computes layers, in native code: what is decided here is where, from what and how.
import { randomBytes } from 'node:crypto';
import type { Content, Writer } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { failedPrecondition, Failure, isAlreadyExists, notImplemented } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import type { Labels } from '../lib/labels.ts';
import type { Logger } from '../lib/log.ts';
import type { Mount } from '../lib/mount.ts';
import type { TemporaryMounts } from '../mounts/api.ts';
import type { Ahead } from './ahead.ts';
import type { AppliedLayer, CompareOptions, Diffs, Layer } from './api.ts';
import { placeImage } from './erofs.ts';
import { applyAlone, loosePlace, sameOwner, settleLoose } from './loose.ts';
import { EROFS, GZIP, isErofs, mayBeCompressed, UNCOMPRESSED, writtenCompression } from './media-types.ts';
import { changesPlace, readablePlace, readOnly, withoutIdMaps, writablePlace, type Place } from './place.ts';
import type { CompareJob, LayerLimits, LayerTools, Written } from './tools.ts';

const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed';

export interface DifferDeps {
  readonly content: Content;
  readonly mounts: TemporaryMounts;
  readonly tools: LayerTools;
  readonly limits: LayerLimits;
  /** Layers that are unpacked before anybody asks; undefined: none. */
  readonly ahead: Ahead | undefined;
  /**
   * The file for a layer that is an EROFS image, in place of files in the folder; undefined for a folder of another
   * snapshotter. Undefined altogether: such layers are not trusted.
   */
  readonly imageFor: ((folder: string) => string | undefined) | undefined;
  readonly log: Logger;
}

export function createDiffer(deps: DifferDeps): Diffs {
  const { content, mounts: temporary, tools, limits, ahead, imageFor, log } = deps;

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

  /** Writes the difference into `file`, from upper layers alone where they say all. */
  async function compute(
    left: readonly Mount[],
    right: readonly Mount[],
    target: Pick<CompareJob, 'file' | 'compression' | 'ids' | 'epoch'>,
    signal: AbortSignal,
  ): Promise<Written> {
    const changes = changesPlace(left, right);
    if (changes !== undefined) {
      const { folder, overlay } = changes;
      const written = await tools.compare({ left: undefined, right: folder, overlay, ...target }, signal);
      if (written !== undefined) return written;
    }
    const written = await reading(left, (leftFolder) =>
      reading(right, (rightFolder) =>
        tools.compare({ left: leftFolder, right: rightFolder, overlay: undefined, ...target }, signal),
      ),
    );
    if (written === undefined) throw new Failure('internal', 'mounted trees cannot be compared: internal');
    return written;
  }

  /** Writes the difference as an EROFS image: of a whole tree, or of an upper layer. */
  function computeImage(
    left: readonly Mount[],
    right: readonly Mount[],
    target: Pick<CompareJob, 'file' | 'ids' | 'epoch'>,
    signal: AbortSignal,
  ): Promise<Written> {
    if (target.ids !== undefined) throw notImplemented(`a layer of type ${EROFS} of files with mapped ids`);
    const changes = changesPlace(left, right);
    if (changes !== undefined) return tools.image({ folder: changes.folder, ...target }, signal);
    if (left.length > 0) {
      throw notImplemented(
        `a layer of type ${EROFS} is made from nothing or from exactly what is below an overlay, not from other mounts`,
      );
    }
    return reading(right, (folder) => tools.image({ folder, ...target }, signal));
  }

  /** A layer that is an image goes where its files would. */
  async function applyImage(layer: Layer, blob: string, mounts: readonly Mount[]): Promise<AppliedLayer> {
    if (imageFor === undefined) {
      throw notImplemented(
        `layer ${layer.digest}: the kernel would read an EROFS image as it came; set native_layers of plugin io.containerd.differ.v1.erofs if its origin is trusted`,
      );
    }
    const place = writablePlace(mounts);
    const target = place === undefined ? undefined : imageFor(place.folder);
    if (target === undefined) {
      throw notImplemented(`layer ${layer.digest}: EROFS images can be layers of snapshotter erofs only`);
    }
    await placeImage(blob, target);
    return { ...layer, usage: undefined };
  }

  /** Makes the blob and says what it is. */
  async function commit(
    scope: Scope,
    writer: Writer,
    written: Written,
    options: CompareOptions,
    mediaType: string,
  ): Promise<Layer> {
    writer.appended(written.size, written.digest);
    const labels: Labels =
      mediaType === UNCOMPRESSED || mediaType === EROFS
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
      if (isErofs(layer.mediaType)) return applyImage(layer, blobOf(namespace, layer), mounts);
      const detect = mayBeCompressed(layer.mediaType);
      const blob = blobOf(namespace, layer);
      const applyTo = (place: Place) => tools.apply({ blob, detect, ...place, sync: options.sync, limits }, signal);
      const place = writablePlace(mounts);
      const done = place === undefined || !detect ? undefined : await ahead?.take(layer.digest, place, signal);
      if (done !== undefined && !options.sync) {
        return { mediaType: UNCOMPRESSED, digest: done.digest, size: done.size, usage: done.usage };
      }
      const { digest, size, usage } =
        place === undefined
          ? await temporary.withMounted(mounts, (folder) => applyTo({ folder, overlay: undefined }))
          : await applyTo(place);
      await fault('diff.apply.after-extract');
      // Of a mounted tree what was written is not what it takes.
      return { mediaType: UNCOMPRESSED, digest, size, usage: place === undefined ? undefined : usage };
    },

    async applyLoose(namespace, layer, mounts, signal) {
      const detect = mayBeCompressed(layer.mediaType);
      const blob = blobOf(namespace, layer);
      const folder = writablePlace(mounts)?.folder;
      if (folder === undefined) throw new Failure('internal', 'a tree without a folder cannot be rebased: internal');
      const place = loosePlace(folder);
      const applied =
        (detect ? await ahead?.take(layer.digest, place, signal) : undefined) ??
        (await applyAlone(tools, { blob, detect, ...place, sync: false, limits }, signal));
      if (applied === undefined) return undefined;
      await fault('diff.apply.after-extract');
      return {
        mediaType: UNCOMPRESSED,
        digest: applied.digest,
        size: applied.size,
        usage: applied.usage,
        async settle(above, joint) {
          const target = writablePlace(above);
          const lower = target?.overlay?.lower[0];
          if (target === undefined || (lower !== undefined && !(await sameOwner(folder, lower)))) return false;
          return settleLoose(tools, folder, applied, target, joint);
        },
      };
    },

    async compare(scope, left, right, options, signal) {
      const mediaType = options.mediaType === '' ? GZIP : options.mediaType;
      const compression = mediaType === EROFS ? undefined : writtenCompression(mediaType);
      const ref = options.ref === '' ? `diff-${Date.now()}-${randomBytes(6).toString('hex')}` : options.ref;
      const writer = await content.writer(scope, { ref });
      let layer: Layer | undefined;
      try {
        await writer.truncate();
        const [before, after] = [withoutIdMaps(left), withoutIdMaps(right)];
        const target = { file: writer.file, ids: after.ids, epoch: options.sourceDateEpoch };
        const written = await (compression === undefined
          ? computeImage(before.mounts, after.mounts, target, signal)
          : compute(before.mounts, after.mounts, { ...target, compression }, signal));
        await fault('diff.compare.before-commit');
        layer = await commit(scope, writer, written, options, mediaType);
        return layer;
      } finally {
        await writer.close();
        if (layer === undefined && options.ref === '') {
          await content.abort(scope, ref).catch((error: unknown) => {
            log.warn('ingest of a failed diff not removed', { ref, error });
          });
        }
      }
    },
  };
}
