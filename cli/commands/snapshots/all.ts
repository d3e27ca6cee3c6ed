// Listing a snapshotter's snapshots.
import { Kind, type Info } from '../../../proto/gen/containerd.services.snapshots.v1.ts';
import type { Client } from '../../../client/connect.ts';

export async function allSnapshots(
  client: Client,
  snapshotter: string,
  filters: readonly string[] = [],
): Promise<Info[]> {
  const all: Info[] = [];
  for await (const { info } of client.snapshots.List({ snapshotter, filters })) all.push(...info);
  return all;
}

const KINDS: Readonly<Record<number, string>> = {
  [Kind.VIEW]: 'View',
  [Kind.ACTIVE]: 'Active',
  [Kind.COMMITTED]: 'Committed',
};

export function kindName(kind: number): string {
  return KINDS[kind] ?? 'Unknown';
}
