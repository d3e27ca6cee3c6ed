// Transfer: sources, destinations and progress to and from the wire.
import { codec } from '../../proto/messages.ts';
import type {
  ImageReference as WireReference,
  ImageStore,
  Progress as WireProgress,
} from '../../proto/gen/containerd.types.transfer.ts';
import type { Descriptor as WireDescriptor, Platform as WirePlatform } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { labelsFromWire } from '../lib/labels.ts';
import type { Platform } from '../lib/platforms.ts';
import type { ImageReference, Progress, StorePlace } from './api.ts';
import type { Descriptor } from './documents.ts';

const progress = codec<WireProgress>('containerd.types.transfer.Progress');

export function progressToWire({ event, name, parents, progress: done, total, descriptor }: Progress): Any {
  const message = {
    event,
    name,
    parents,
    progress: String(done),
    total: String(total),
    ...(descriptor === undefined ? {} : { desc: descriptorToWire(descriptor) }),
  };
  return { type_url: progress.name, value: progress.encode(message) };
}

function descriptorToWire({ mediaType, digest, size, annotations = {} }: Descriptor): WireDescriptor {
  return { media_type: mediaType, digest, size: String(size), annotations: { ...annotations } };
}

export function platformFromWire({ os, architecture, variant }: WirePlatform): Platform {
  return { os, architecture, variant };
}

export function storeFromWire(wire: ImageStore): StorePlace {
  return {
    name: wire.name,
    labels: labelsFromWire(wire.labels),
    platforms: wire.platforms.map(platformFromWire),
    allMetadata: wire.all_metadata,
    manifestLimit: wire.manifest_limit,
    extraReferences: wire.extra_references.map(referenceFromWire),
    unpacks: wire.unpacks.map(({ platform, snapshotter }) => ({
      platform: platform === null ? { os: '', architecture: '', variant: '' } : platformFromWire(platform),
      snapshotter,
    })),
  };
}

function referenceFromWire(wire: WireReference): ImageReference {
  return {
    name: wire.name,
    isPrefix: wire.is_prefix,
    allowOverwrite: wire.allow_overwrite,
    addDigest: wire.add_digest,
    skipNamedDigest: wire.skip_named_digest,
  };
}
