// Parts of an image, as the bars of a long command show them.
import type { Descriptor } from '../../client/images/types.ts';
import { isConfig, isIndex, isManifest } from '../../client/images/types.ts';
import type { Part } from './bars.ts';

/** A blob of which so many bytes are through; `event` until all are, `complete` then. */
export function blobPart({ mediaType, digest, size }: Descriptor, event: string, done: number): Part {
  const kind = isManifest(mediaType)
    ? 'manifest'
    : isIndex(mediaType)
      ? 'index'
      : isConfig(mediaType)
        ? 'config'
        : 'layer';
  const last = done >= size;
  return {
    key: digest,
    label: `${kind} ${digest.slice(digest.indexOf(':') + 1).slice(0, 12)}`,
    event: last ? 'complete' : event,
    done,
    total: size,
    last,
    measured: !last && event !== 'waiting',
  };
}

/** A layer in a state that says nothing of how far it is. */
export function layerState(layer: Descriptor, event: 'waiting' | 'extracting' | 'extracted'): Part {
  const last = event === 'extracted';
  return { ...blobPart(layer, event, 0), event, last, measured: false };
}

/** Bytes of one thing; `total` where it is known before. */
export function bytesPart(label: string, event: string, done: number, total?: number): Part {
  return { key: label, label, event, done, total: total ?? done, last: false, measured: total !== undefined };
}
