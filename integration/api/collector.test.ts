// The collector over the socket: what services/metadata/gc-world.test.ts does to the stores, as a client does it.
// GC_HISTORIES sets how many random histories (default 2).
import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { SPEC_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { ClientError, isAlreadyExists } from '../../client/errors.ts';
import {
  keyOf,
  labelsOf,
  NOTHING,
  SNAPSHOTTERS,
  typeOf,
  type Name,
  type Resource,
} from '../../services/metadata/testing/gc-model.ts';
import { checkCollector, type Stores } from '../../services/metadata/testing/gc-world.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { json, RUNTIME } from '../harness/container.ts';
import { collect } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { descriptor, makeBlob, WRITE } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const HISTORIES = Number(process.env['GC_HISTORIES'] ?? 2);
const REFUSALS = new Set(['not found', 'already exists', 'failed precondition', 'invalid argument']);

const bytesOf = (key: string): Buffer => Buffer.from(`content ${key}`);
const digest = (key: string): string => sha256(bytesOf(key));
const KEYS = new Map(['0', '1', '2'].map((key) => [digest(key), key]));
const labelled = (resource: Resource): Record<string, string> => Object.fromEntries(labelsOf(resource, digest));
const driverOf = (name: Name): string => typeOf(name).slice('snapshots/'.length);

const unlessThere = async (work: Promise<unknown>): Promise<boolean> => {
  try {
    await work;
    return true;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return false;
  }
};

(targetOf(process.env) === 'davit' ? describe : describe.skip)('the collector over the socket', () => {
  // In memory: what is looked at is what stays, not what survives a power cut.
  const t = useDaemon({ parent: '/dev/shm' });
  const clients = new Map<string, Client>();
  before(() => {
    for (const client of [t.inNewNamespace(), t.inNewNamespace()]) clients.set(client.namespace, client);
  });
  const clientOf = (namespace: string): Client => clients.get(namespace) ?? t.client;

  async function openIngest(client: Client, ref: string): Promise<void> {
    const call = client.content.Write();
    try {
      await call.send({ action: WRITE.STAT, ref });
      const { offset = '0' } = (await call.receive()) ?? {};
      if (offset !== '0') return;
      await call.send({ action: WRITE.WRITE, ref, offset, data: Buffer.from('x') });
      await call.receive();
    } finally {
      call.close();
      for await (const answer of call) void answer;
    }
  }

  async function put(client: Client, name: Name, resource: Resource): Promise<boolean> {
    const key = keyOf(name);
    const labels = labelled(resource);
    const [needed = NOTHING] = resource.needs;
    switch (typeOf(name)) {
      case 'content':
        return await makeBlob(client, bytesOf(key), labels);
      case 'images': {
        const target = descriptor({ mediaType: 'x', digest: digest(keyOf(needed)), size: 1 });
        const image = { name: key, labels, target };
        const made = await unlessThere(client.images.Create({ image }));
        if (!made) await client.images.Update({ image });
        return made;
      }
      case 'containers': {
        const rest = { runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}), image: '' };
        const snapshot = { snapshotter: driverOf(needed), snapshot_key: keyOf(needed) };
        return await unlessThere(client.containers.Create({ container: { id: key, labels, ...rest, ...snapshot } }));
      }
      case 'leases':
        return await unlessThere(client.leases.Create({ id: key, labels }));
      case 'ingests':
        await openIngest(client, key);
        return false;
      default: {
        const parent = needed === NOTHING ? '' : keyOf(needed);
        return await unlessThere(client.snapshots.Prepare({ snapshotter: driverOf(name), key, parent, labels }));
      }
    }
  }

  async function remove({ content, images, containers, leases, snapshots }: Client, name: Name): Promise<unknown> {
    const key = keyOf(name);
    switch (typeOf(name)) {
      case 'content':
        return await content.Delete({ digest: digest(key) });
      case 'images':
        return await images.Delete({ name: key });
      case 'containers':
        return await containers.Delete({ id: key });
      case 'leases':
        return await leases.Delete({ id: key });
      case 'ingests':
        return await content.Abort({ ref: key });
      default:
        return await snapshots.Remove({ snapshotter: driverOf(name), key });
    }
  }

  async function present({ content, images, containers, leases, snapshots }: Client): Promise<Name[]> {
    const found: Name[] = [];
    for await (const { info } of content.List({}))
      for (const { digest: one } of info) found.push(`content ${KEYS.get(one) ?? one}`);
    for (const { name } of (await images.List({})).images) found.push(`images ${name}`);
    for (const { id } of (await containers.List({})).containers) found.push(`containers ${id}`);
    for (const { id } of (await leases.List({})).leases) found.push(`leases ${id}`);
    for (const { ref } of (await content.ListStatuses({})).statuses) found.push(`ingests ${ref}`);
    for (const snapshotter of SNAPSHOTTERS)
      for (const { info } of await collect(snapshots.List({ snapshotter })))
        for (const { name } of info) found.push(`snapshots/${snapshotter} ${name}`);
    return found;
  }

  const names = (...parts: string[]): string[] => {
    try {
      return readdirSync(path.join(t.daemon.root, ...parts));
    } catch {
      return []; // not made yet
    }
  };

  const stores: Stores = {
    get namespaces() {
      return [...clients.keys()];
    },
    put: (namespace, name, resource, lease) =>
      put(lease === undefined ? clientOf(namespace) : clientOf(namespace).with({ lease }), name, resource),
    async label(namespace, name, resource) {
      const info = { digest: digest(keyOf(name)), labels: labelled(resource) };
      await clientOf(namespace).content.Update({ info });
    },
    delete: async (namespace, name) => void (await remove(clientOf(namespace), name)),
    async commit(namespace, from, to, resource, lease) {
      const client = lease === undefined ? clientOf(namespace) : clientOf(namespace).with({ lease });
      const what = { snapshotter: driverOf(from), key: keyOf(from), name: keyOf(to) };
      await client.snapshots.Commit({ ...what, labels: labelled(resource) });
    },
    async hold(namespace, id, name, held) {
      const { leases } = clientOf(namespace);
      const key = keyOf(name);
      const resource = { type: typeOf(name), id: typeOf(name) === 'content' ? digest(key) : key };
      await (held ? leases.AddResource({ id, resource }) : leases.DeleteResource({ id, resource }));
    },
    isRefusal: (error) => error instanceof ClientError && REFUSALS.has(error.kind),
    collect: () => collectGarbage(t.client),
    present: (namespace) => present(clientOf(namespace)),
    async disk() {
      for (const snapshotter of SNAPSHOTTERS) await t.client.snapshots.Cleanup({ snapshotter });
      return {
        content: names('content/blobs/sha256')
          .map((name) => KEYS.get(`sha256:${name}`) ?? name)
          .toSorted(),
        ingests: names('content/ingest').length,
        snapshots: SNAPSHOTTERS.flatMap((snapshotter) => names('snapshots', snapshotter, 'snapshots')).length,
      };
    },
  };

  it(`removes nothing that is held, and leaves nothing else: ${HISTORIES} histories`, async function () {
    this.timeout(60_000 + HISTORIES * 10_000);
    const totals = await checkCollector(stores, HISTORIES);
    assert.ok(totals.removed > HISTORIES, JSON.stringify(totals));
  });
});
