// The collector over the real stores: random resources in two namespaces and two snapshotters, made, changed and
// deleted while it runs. GC_RUNS sets how many such histories (default 10).
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { kindOf } from '../lib/errors.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { createNativeDriver } from '../snapshots/drivers/native.ts';
import { nativeFiles } from '../snapshots/drivers/native-files.ts';
import { keyOf, labelsOf, NOTHING, SNAPSHOTTERS, typeOf, type Name } from './testing/gc-model.ts';
import { checkCollector, type Stores } from './testing/gc-world.ts';
import { openSlices, scope, type Slices } from './testing/slices.ts';

const RUNS = Number(process.env['GC_RUNS'] ?? 10);
const REFUSALS = new Set<unknown>(['not found', 'already exists', 'failed precondition', 'invalid argument']);
const never = new AbortController().signal;

const bytesOf = (key: string): Buffer => Buffer.from(`content ${key}`);
const digest = (key: string): string => digestOf(bytesOf(key));
const KEYS = new Map(['0', '1', '2', '3'].map((key) => [digest(key), key]));

function storesOf(slices: Slices, folder: string): Stores {
  const { content, images, containers, leases, snapshots, gc } = slices;
  const driverOf = (name: Name) => snapshots.get(typeOf(name).slice('snapshots/'.length));
  /** As a lease's resource. */
  const heldAs = (name: Name) => ({
    type: typeOf(name),
    id: typeOf(name) === 'content' ? digest(keyOf(name)) : keyOf(name),
  });
  const unlessThere = async (work: Promise<unknown>): Promise<boolean> => {
    try {
      await work;
      return true;
    } catch (error) {
      if (kindOf(error) !== 'already exists') throw error;
      return false;
    }
  };

  async function write(namespace: string, key: string, labels: Map<string, string>, lease?: string): Promise<void> {
    const expected = digest(key);
    await using writer = await content.writer(scope(namespace, lease), { ref: `blob ${key}`, expected });
    if (writer.status.offset === 0) await writer.write(bytesOf(key));
    await writer.commit({ labels });
  }

  return {
    namespaces: ['n', 'm'],
    async put(namespace, name, resource, lease) {
      const key = keyOf(name);
      const labels = labelsOf(resource, digest);
      const [needed = NOTHING] = resource.needs;
      switch (typeOf(name)) {
        case 'content':
          return await unlessThere(write(namespace, key, labels, lease));
        case 'images': {
          const target = { mediaType: 'x', digest: digest(keyOf(needed)), size: 1n, annotations: new Map() };
          const image = { name: key, labels, target };
          const made = await unlessThere(images.create(scope(namespace), image, undefined));
          if (!made) await images.update(scope(namespace), image, [], undefined);
          return made;
        }
        case 'containers': {
          const snapshot = { snapshotter: typeOf(needed).slice('snapshots/'.length), snapshotKey: keyOf(needed) };
          const rest = { image: '', sandbox: '', runtime: { name: 'r', options: undefined }, extensions: new Map() };
          const spec = { typeUrl: 'x', value: Buffer.from('x') };
          const container = { id: key, labels, spec, ...rest, ...snapshot };
          return await unlessThere(containers.create(namespace, container as never));
        }
        case 'leases':
          return await unlessThere(leases.create(namespace, key, labels));
        case 'ingests': {
          await using writer = await content.writer(scope(namespace, lease), { ref: key });
          if (writer.status.offset === 0) await writer.write(Buffer.from('x'));
          return false;
        }
        default:
          return await unlessThere(
            driverOf(name).prepare(scope(namespace, lease), key, needed === NOTHING ? '' : keyOf(needed), labels),
          );
      }
    },
    async label(namespace, name, resource) {
      await content.update(namespace, digest(keyOf(name)), labelsOf(resource, digest), []);
    },
    async delete(namespace, name) {
      const key = keyOf(name);
      const type = typeOf(name);
      if (type === 'content') await content.delete(scope(namespace), digest(key));
      else if (type === 'images') await images.delete(scope(namespace), key, { sync: false, signal: never });
      else if (type === 'containers') await containers.delete(namespace, key);
      else if (type === 'leases') await leases.delete(namespace, key, false, never);
      else if (type === 'ingests') await content.abort(scope(namespace), key);
      else await driverOf(name).remove(scope(namespace), key);
    },
    async commit(namespace, from, to, resource, lease) {
      const labels = labelsOf(resource, digest);
      await driverOf(from).commit(scope(namespace, lease), keyOf(to), keyOf(from), '', labels);
    },
    async hold(namespace, lease, name, held) {
      if (held) await leases.addResource(namespace, lease, heldAs(name));
      else await leases.deleteResource(namespace, lease, heldAs(name));
    },
    isRefusal: (error) => REFUSALS.has(kindOf(error)),
    collect: () => gc.collect(),
    async present(namespace) {
      const statuses = await content.statuses(namespace, []);
      return [
        ...content.list(namespace, []).map(({ digest: found }): Name => `content ${KEYS.get(found) ?? found}`),
        ...images.list(namespace, []).map(({ name }): Name => `images ${name}`),
        ...containers.list(namespace, []).map(({ id }): Name => `containers ${id}`),
        ...leases.list(namespace, []).map(({ id }): Name => `leases ${id}`),
        ...statuses.map(({ ref }): Name => `ingests ${ref}`),
        ...SNAPSHOTTERS.flatMap((driver) =>
          snapshots
            .get(driver)
            .list(namespace, [])
            .map(({ name }): Name => `snapshots/${driver} ${name}`),
        ),
      ];
    },
    async disk() {
      let trees = 0;
      for (const driver of SNAPSHOTTERS) {
        await snapshots.get(driver).cleanup();
        trees += (await readdir(path.join(folder, driver, 'snapshots'))).length;
      }
      const blobs = await readdir(path.join(folder, 'content/blobs/sha256')).catch(() => []);
      return {
        content: blobs.map((name) => KEYS.get(`sha256:${name}`) ?? name).toSorted(),
        ingests: (await readdir(path.join(folder, 'content/ingest'))).length,
        snapshots: trees,
      };
    },
  };
}

describe('the collector over real stores', () => {
  it(`removes nothing that is held, and leaves nothing else: ${RUNS} histories`, async function () {
    this.timeout(60_000 + RUNS * 2000);
    await using folder = await temporaryFolder();
    const drivers = [];
    for (const name of SNAPSHOTTERS)
      drivers.push({ ...(await createNativeDriver(path.join(folder.path, name), nativeFiles)), name });
    await using slices = await openSlices(folder.path, { drivers });
    const totals = await checkCollector(storesOf(slices, folder.path), RUNS);
    assert.deepEqual(slices.logged, []);
    assert.ok(totals.removed > RUNS, JSON.stringify(totals));
    if (process.env['GC_RUNS'] !== undefined) console.log(`      ${JSON.stringify(totals)}`);
  });
});
