// Media types of layers.
import { notImplemented } from '../lib/errors.ts';

export const UNCOMPRESSED = 'application/vnd.oci.image.layer.v1.tar';
export const GZIP = `${UNCOMPRESSED}+gzip`;
const ZSTD = `${UNCOMPRESSED}+zstd`;

export const EROFS = 'application/vnd.erofs.layer.v1';

/** Layers that are EROFS images as they are, by the names that containerd knows; none is compressed. */
export function isErofs(mediaType: string): boolean {
  if (mediaType.includes('+')) return false;
  return mediaType.endsWith('.erofs') || mediaType.startsWith('application/vnd.erofs.layer.');
}

const OCI = new Set([UNCOMPRESSED, 'application/vnd.oci.image.layer.nondistributable.v1.tar']);

/**
 * Docker's types for layers. What registries have under them is not always what they say, so the
 * content decides how it is compressed.
 */
const DOCKER = new Set([
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
]);

/** Whether a layer may be compressed, in a way that its content tells. Throws `not implemented` for what is no layer. */
export function mayBeCompressed(mediaType: string): boolean {
  const [base = '', ...suffixes] = mediaType.split('+');
  if (DOCKER.has(base) && suffixes.length === 0) return true;
  if (OCI.has(base) && suffixes.length === 0) return false;
  if (OCI.has(base) && suffixes.length === 1 && (suffixes[0] === 'gzip' || suffixes[0] === 'zstd')) return true;
  throw notImplemented(`failed to get stream processor for ${mediaType}: no processor for media-type`);
}

export type WrittenCompression = 'none' | 'gzip' | 'zstd';

/** How a new layer of this type is compressed. Throws `not implemented` for types that are not written. */
export function writtenCompression(mediaType: string): WrittenCompression {
  switch (mediaType) {
    case UNCOMPRESSED:
      return 'none';
    case GZIP:
      return 'gzip';
    case ZSTD:
      return 'zstd';
    default:
      throw notImplemented(`unsupported diff media type: ${mediaType}`);
  }
}
