// Unpacking of an image for whoever asked: which snapshotters, and whether at all.
import type { Content } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { normalizePlatform } from '../lib/platforms.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { StorePlace } from './api.ts';
import { isConfig, parseConfig, type Descriptor } from './documents.ts';
import { letGoOfLayers } from './labels.ts';
import { readDocument } from './read.ts';
import type { Tracker } from './tracker.ts';
import type { Unpacker } from './unpack.ts';

const DEFAULT_SNAPSHOTTER = 'overlayfs';

/** `parts`: the manifest's config, which is here, and its layers; `arrived` says when one of them is. */
export type ImageUnpacker = (
  scope: Scope,
  to: StorePlace,
  manifest: Descriptor,
  parts: readonly Descriptor[],
  tracker: Tracker,
  arrived: (layer: Descriptor) => Promise<void>,
  signal: AbortSignal,
) => Promise<void>;

export interface ImageUnpackerDeps {
  readonly content: Content;
  readonly namespaces: Namespaces;
  readonly unpack: Unpacker;
  /** Layers that are unpacked are left to garbage collection. */
  readonly discardLayers: boolean;
}

export function createImageUnpacker(deps: ImageUnpackerDeps): ImageUnpacker {
  const { content, namespaces, unpack } = deps;
  return async (scope, to, { digest }, [config, ...layers], tracker, arrived, signal) => {
    if (to.unpacks.length === 0 || config === undefined || !isConfig(config.mediaType)) return;
    const parsed = parseConfig(await readDocument(content, scope.namespace, config.digest), config);
    const { os } = normalizePlatform(parsed.platform);
    const named = to.unpacks.filter(({ platform }) => normalizePlatform(platform).os === os);
    const usual = namespaces.labels(scope.namespace).get('containerd.io/defaults/snapshotter') || DEFAULT_SNAPSHOTTER;
    const progress = (layer: Descriptor, state: 'extracting' | 'extracted'): void => tracker.enter(layer, state);
    for (const snapshotter of new Set(named.map((each) => each.snapshotter || usual))) {
      await unpack({ scope, manifest: { config, layers }, config: parsed, snapshotter, arrived, progress }, signal);
    }
    if (deps.discardLayers && named.length > 0) await letGoOfLayers(content, scope.namespace, digest);
  };
}
