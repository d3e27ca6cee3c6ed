// Images: records to and from the wire.
import { codec } from '../../proto/messages.ts';
import type * as wire from '../../proto/gen/containerd.services.images.v1.ts';
import type { Descriptor } from '../../proto/gen/containerd.types.ts';
import { invalidArgument } from '../lib/errors.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { instantFromWire, instantToWire } from '../lib/time.ts';
import type { Codec } from '../metadata/api.ts';
import type { Image, ImageSpec, Target } from './api.ts';

const EPOCH = { seconds: 0, nanos: 0 };

export function imageToWire(image: Image) {
  return {
    name: image.name,
    labels: labelsToWire(image.labels),
    target: targetToWire(image.target),
    created_at: instantToWire(image.created),
    updated_at: instantToWire(image.updated),
  };
}

export function imageFromWire(image: wire.Image): Image {
  return {
    ...specFromWire(image),
    created: instantFromWire(image.created_at) ?? EPOCH,
    updated: instantFromWire(image.updated_at) ?? EPOCH,
  };
}

/** Throws `invalid argument` when there is none. */
export function specFromWire(image: wire.Image | null): ImageSpec {
  if (image === null) throw invalidArgument('image is required');
  return { name: image.name, labels: labelsFromWire(image.labels), target: targetFromWire(image.target) };
}

/** The codec of image records. */
export function imageCodec(): Codec<Image> {
  const message = codec<wire.Image>('containerd.services.images.v1.Image');
  return {
    encode: (image) => message.encode(imageToWire(image)),
    decode: (bytes) => imageFromWire(message.decode(bytes)),
  };
}

function targetToWire(target: Target) {
  return {
    media_type: target.mediaType,
    digest: target.digest,
    size: String(target.size),
    annotations: labelsToWire(target.annotations),
  };
}

function targetFromWire(target: Descriptor | null): Target {
  if (target === null) return { mediaType: '', digest: '', size: 0n, annotations: new Map() };
  return {
    mediaType: target.media_type,
    digest: target.digest,
    size: BigInt(target.size),
    annotations: labelsFromWire(target.annotations),
  };
}
