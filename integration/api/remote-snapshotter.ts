// A snapshotter reached over gRPC, in the form that the conformance suite takes.
import type { Client } from '../../client/connect.ts';
import { ClientError } from '../../client/errors.ts';
import type { Info as WireInfo } from '../../proto/gen/containerd.services.snapshots.v1.ts';
import { Failure } from '../../services/lib/errors.ts';
import { labelsFromWire, labelsToWire } from '../../services/lib/labels.ts';
import { instantFromWire } from '../../services/lib/time.ts';
import type { Info, Kind } from '../../services/snapshots/api.ts';
import type { Subject } from '../../services/snapshots/testing/bench.ts';

const KINDS: Readonly<Record<number, Kind>> = { 1: 'view', 2: 'active', 3: 'committed' };

/** `client` must carry no lease of its own. */
export function remoteSnapshotter(client: Client, snapshotter: string): Subject {
  const service = client.snapshots;
  return {
    async prepare(scope, key, parent, labels) {
      const request = { snapshotter, key, parent, labels: labelsToWire(labels) };
      return (await named(service.Prepare(request, scope))).mounts;
    },
    async view(scope, key, parent, labels) {
      const request = { snapshotter, key, parent, labels: labelsToWire(labels) };
      return (await named(service.View(request, scope))).mounts;
    },
    mounts: async (namespace, key) => (await named(service.Mounts({ snapshotter, key }, { namespace }))).mounts,
    async commit(scope, name, key, parent, labels) {
      await named(service.Commit({ snapshotter, name, key, parent, labels: labelsToWire(labels) }, scope));
    },
    async remove(scope, key) {
      await named(service.Remove({ snapshotter, key }, scope));
    },
    stat: async (namespace, key) => info((await named(service.Stat({ snapshotter, key }, { namespace }))).info),
    async update(namespace, key, labels, mask) {
      const request = {
        snapshotter,
        info: { name: key, labels: labelsToWire(labels) },
        update_mask: { paths: [...mask] },
      };
      return info((await named(service.Update(request, { namespace }))).info);
    },
    async list(namespace, filters) {
      const infos: Info[] = [];
      await named(
        (async () => {
          for await (const message of service.List({ snapshotter, filters: [...filters] }, { namespace })) {
            if (message.info.length > 100) throw new Error(`${message.info.length} infos in one message`);
            infos.push(...message.info.map(info));
          }
        })(),
      );
      return infos;
    },
    async usage(namespace, key) {
      const { size, inodes } = await named(service.Usage({ snapshotter, key }, { namespace }));
      return { size: Number(size), inodes: Number(inodes) };
    },
    async cleanup() {
      await named(service.Cleanup({ snapshotter }));
    },
  };
}

function info(wire: WireInfo | null): Info {
  const created = instantFromWire(wire?.created_at);
  const updated = instantFromWire(wire?.updated_at);
  const kind = KINDS[wire?.kind ?? 0];
  if (!wire || !created || !updated || !kind) throw new Error(`incomplete info: ${JSON.stringify(wire)}`);
  return { name: wire.name, parent: wire.parent, kind, created, updated, labels: labelsFromWire(wire.labels) };
}

/** The error classes of the client are those of the daemon. */
async function named<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ClientError) throw new Failure(error.kind, error.message, { cause: error });
    throw error;
  }
}
