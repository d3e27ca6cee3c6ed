// What native code does for diffs.
import type { Instant } from '../lib/time.ts';
import type { LayerObserver } from './api.ts';
import type { Usage } from '../snapshots/api.ts';
import type { WrittenCompression } from './media-types.ts';
import type { IdMaps, OverlayPlace } from './place.ts';

export interface ApplyJob {
  /** The layer's file. */
  readonly blob: string;
  /** Find out from the content how it is compressed; else it is not. */
  readonly detect: boolean;
  readonly folder: string;
  /** Given: `folder` is an upper layer of overlayfs, and whiteouts are written as overlayfs has them. */
  readonly overlay: OverlayPlace | undefined;
  /** Wait until the folder's file system is on disk. */
  readonly sync: boolean;
  readonly limits: LayerLimits;
}

/** Most that one layer may hold unpacked. */
export interface LayerLimits {
  /** Bytes of the archive. */
  readonly size: number;
  readonly entries: number;
}

export interface Applied {
  /** Of the uncompressed layer. */
  readonly digest: string;
  readonly size: number;
  /** Whiteouts and opaque directories. */
  readonly marked: number;
  /** With nothing known below: what settle() has to know. Undefined: the layer has to be applied again. */
  readonly deferred: Uint8Array | undefined;
  /** What the folder takes now; undefined when only its tree tells. */
  readonly usage: Usage | undefined;
}

export interface CompareJob {
  readonly right: string;
  /** What to compare with; undefined: nothing. */
  readonly left: string | undefined;
  /** Given: `right` is an upper layer of overlayfs, and its own marks say what changed; `left` is not read. */
  readonly overlay: OverlayPlace | undefined;
  /** Written from its beginning. */
  readonly file: string;
  readonly compression: WrittenCompression;
  /** Given: the files belong to the host's ids of a container, and the layer gets the container's own. */
  readonly ids: IdMaps | undefined;
  readonly epoch: Instant | undefined;
}

export interface ImageJob {
  /** A whole tree, or an upper layer of overlayfs. */
  readonly folder: string;
  /** Written from its beginning. */
  readonly file: string;
  readonly epoch: Instant | undefined;
}

export interface Written {
  readonly digest: string;
  readonly size: number;
  readonly uncompressed: string;
}

/** Both reject with the signal's reason when that aborts, and with a Failure otherwise. */
export interface LayerTools {
  apply(job: ApplyJob, signal: AbortSignal): Promise<Applied>;
  /** Makes `folder`, applied with nothing known below, what it would be on top of `lower`. False: it cannot be. */
  settle(folder: string, deferred: Uint8Array, overlay: OverlayPlace, signal: AbortSignal): Promise<boolean>;
  /**
   * Digest and size of what was written, and the digest of the uncompressed layer.
   * Undefined when an upper layer's marks do not say all: the mounted trees have to be compared.
   */
  compare(job: CompareJob, signal: AbortSignal): Promise<Written | undefined>;
  /** Writes an EROFS image; it is its own uncompressed layer. */
  image(job: ImageJob, signal: AbortSignal): Promise<Written>;
}

export function observed(tools: LayerTools, observer: LayerObserver): LayerTools {
  return {
    ...tools,
    async apply(job, signal) {
      const applied = await tools.apply(job, signal);
      observer.applied(applied.size);
      return applied;
    },
  };
}
