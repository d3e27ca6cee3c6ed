// The labels that transfers put on content: where it came from, and what it needs.
import type { Content } from '../content/api.ts';
import type { Labels } from '../lib/labels.ts';
import type { Reference } from '../lib/references.ts';
import { isConfig, isIndex, isLayer, isManifest, type Descriptor } from './documents.ts';

const SOURCE = 'containerd.io/distribution.source.';
const NEEDS = 'containerd.io/gc.ref.content.';
/** Of key and value together; containerd's limit. */
const MAX_LABEL = 4096;

/** Which repositories of a host have the blob. */
export function sourceKey({ host }: Reference): string {
  return `${SOURCE}${host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')}`;
}

/** References to everything that a document names, in containerd's words. */
export function neededLabels(children: readonly Descriptor[]): Map<string, string> {
  const labels = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const { mediaType, digest } of children) {
    const kind = isConfig(mediaType)
      ? 'config'
      : isManifest(mediaType) || isIndex(mediaType)
        ? 'm.'
        : isLayer(mediaType)
          ? 'l.'
          : '';
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    labels.set(`${NEEDS}${kind}${kind === 'config' && count === 0 ? '' : count}`, digest);
  }
  return labels;
}

/** Adds labels, in one write and only where something is new. */
export async function addLabels(content: Content, namespace: string, digest: string, labels: Labels): Promise<void> {
  const { labels: before } = content.info(namespace, digest);
  const fresh = [...labels].filter(([key, value]) => before.get(key) !== value);
  if (fresh.length === 0) return;
  const paths = fresh.map(([key]) => `labels.${key}`);
  await content.update(namespace, digest, new Map(fresh), paths);
}

/** Lets go of the layers of a manifest: what else does not need them is left to garbage collection. */
export async function letGoOfLayers(content: Content, namespace: string, manifest: string): Promise<void> {
  const keys = [...content.info(namespace, manifest).labels.keys()].filter((key) => key.startsWith(`${NEEDS}l.`));
  if (keys.length === 0) return;
  const paths = keys.map((key) => `labels.${key}`);
  await content.update(namespace, manifest, new Map(), paths);
}

/** The source label with one more repository; nothing when it would be too long for a label. */
export function sourceLabel(before: Labels, from: Reference): Labels {
  const key = sourceKey(from);
  const known = (before.get(key) ?? '').split(',').filter((repository) => repository !== '');
  const value = [...new Set([...known, from.repository])].sort().join(',');
  return key.length + value.length > MAX_LABEL ? new Map() : new Map([[key, value]]);
}
