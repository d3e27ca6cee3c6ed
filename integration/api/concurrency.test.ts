// Many clients at once: nothing is lost, nothing is done twice, nothing is left.
import { strict as assert } from 'node:assert';
import { before, describe, it } from 'mocha';
import { SPEC_URL } from '../../client/any.ts';
import { isAlreadyExists, isNotFound } from '../../client/errors.ts';
import { removeTask } from '../harness/cleanup.ts';
import {
  createContainer,
  createTask,
  json,
  removeContainer,
  run,
  RUNTIME,
  startContainer,
  uniqueId,
} from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { putBlob, putImage } from '../harness/store.ts';

const RUNS = 100;
const RACERS = 20;

/** How many of the calls succeeded; the others must fail as `accepted` says. */
async function winners(calls: readonly Promise<unknown>[], accepted: (error: unknown) => boolean): Promise<number> {
  const results = await Promise.allSettled(calls);
  for (const result of results) {
    if (result.status === 'rejected' && !accepted(result.reason)) throw result.reason;
  }
  return results.filter(({ status }) => status === 'fulfilled').length;
}

const racers = <T>(race: (index: number) => T): T[] => Array.from({ length: RACERS }, (_, index) => race(index));

describe('concurrency', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  it(`${RUNS} containers at once each give their own output and status`, async function () {
    this.timeout(120_000);
    const results = await Promise.all(
      Array.from({ length: RUNS }, (_, index) =>
        run(t.client, image, ['sh', '-c', `echo number ${index}; exit ${index % 50}`]),
      ),
    );
    for (const [index, { stdout, status }] of results.entries())
      assert.deepEqual([stdout, status], [`number ${index}\n`, index % 50]);
  });

  it('of many that create the same, one wins', async () => {
    const id = uniqueId();
    const container = { id, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) };
    assert.equal(
      await winners(
        racers(() => t.client.containers.Create({ container })),
        isAlreadyExists,
      ),
      1,
    );
    assert.equal(
      await winners(
        racers(() => t.client.containers.Delete({ id })),
        isNotFound,
      ),
      1,
    );
    assert.equal(
      await winners(
        racers(() => t.client.leases.Create({ id: 'raced' })),
        isAlreadyExists,
      ),
      1,
    );
    assert.equal(
      await winners(
        racers(() => t.client.leases.Delete({ id: 'raced' })),
        isNotFound,
      ),
      1,
    );
    const snapshot = { snapshotter: 'overlayfs', key: 'raced', labels: { 'containerd.io/gc.root': 'now' } };
    assert.equal(
      await winners(
        racers(() => t.client.snapshots.Prepare(snapshot)),
        isAlreadyExists,
      ),
      1,
    );
    const commit = {
      snapshotter: 'overlayfs',
      key: 'raced',
      name: 'raced-name',
      labels: { 'containerd.io/gc.root': 'now' },
    };
    assert.equal(
      await winners(
        racers(() => t.client.snapshots.Commit(commit)),
        (error) => isNotFound(error) || isAlreadyExists(error),
      ),
      1,
    );
  });

  it('of many that start the same task, one wins', async () => {
    const id = await createContainer(t.client, image, ['sleep', '1000']);
    assert.equal(
      await winners(
        racers(() => createTask(t.client, id)),
        (error) => /exists/.test(String(error)),
      ),
      1,
    );
    assert.equal(
      await winners(
        racers(() => t.client.tasks.Start({ container_id: id })),
        () => true,
      ),
      1,
    );
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    assert.equal(
      await winners(
        racers(() => t.client.tasks.Delete({ container_id: id })),
        () => true,
      ),
      1,
    );
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: id });
  });

  it('many wait for the same end', async () => {
    const id = await startContainer(t.client, image, ['sh', '-c', 'usleep 300000; exit 9']);
    const exits = await Promise.all(racers(() => t.client.tasks.Wait({ container_id: id })));
    assert.ok(exits.every(({ exit_status }) => exit_status === 9));
    await removeContainer(t.client, id);
  });

  it('many update labels of one container, and none is lost', async () => {
    const id = uniqueId();
    await t.client.containers.Create({ container: { id, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) } });
    await Promise.all(
      racers((index) =>
        t.client.containers.Update({
          container: { id, labels: { [`k${index}`]: 'x' } },
          update_mask: { paths: [`labels.k${index}`] },
        }),
      ),
    );
    const { container } = await t.client.containers.Get({ id });
    assert.equal(Object.keys(container?.labels ?? {}).length, RACERS);
    await t.client.containers.Delete({ id });
  });

  it('collection while others write takes nothing that is referred to', async function () {
    this.timeout(60_000);
    const labels = { 'containerd.io/gc.root': 'now' };
    const written = await Promise.all(
      racers(async (index) => {
        const digests: string[] = [];
        for (let round = 0; round < 10; round += 1) {
          digests.push(await putBlob(t.client, Buffer.from(`blob ${index} ${round}`), labels));
          if (round % 5 === 0) {
            const { lease } = await t.client.leases.Create({});
            await t.client.leases.Delete({ id: lease?.id ?? '', sync: true });
          }
        }
        return digests;
      }),
    );
    for (const digest of written.flat()) await t.client.content.Info({ digest });
  });

  it('a client that cancels leaves nothing half done', async () => {
    const id = await createContainer(t.client, image, ['sleep', '1000']);
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
    for (const delay of [0, 5, 15, 30]) {
      const control = new AbortController();
      const call = t.client.tasks.Create({ container_id: id, rootfs: mounts }, { signal: control.signal });
      setTimeout(() => control.abort(), delay);
      await call.catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await removeTask(t.client, id);
    }
    await createTask(t.client, id);
    await removeTask(t.client, id);
  });

  it('a thousand small calls at once are answered', async () => {
    const answers = await Promise.all(Array.from({ length: 1000 }, () => t.client.images.List({})));
    assert.equal(answers.length, 1000);
  });
});
