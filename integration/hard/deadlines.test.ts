// Deadlines and cancellation end what they should: the call, what was made for it, and nothing else.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'mocha';
import { disagreements } from '../harness/agreement.ts';
import { createContainer, exec, removeContainer, run, startContainer } from '../harness/container.ts';
import { collect, eventually, fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, makeLayer } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { davitOnly } from '../harness/only.ts';
import { descriptor, putBlob, putImage, WRITE } from '../harness/store.ts';

const snapshotter = 'overlayfs';
/** containerd 1.6 has several codes for it. */
const LATE = /deadline exceeded/i;

describe('deadlines and cancellation', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  it('a creation that takes too long is undone', async function () {
    davitOnly(this, t.target, 'it has no fault points');
    const id = await createContainer(t.client, image, ['true']);
    await t.restart('kill', undefined, { DAVIT_FAULTS: 'shim.create.after-mounts=stall:1500' });
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter, key: id });
    await fails(t.client.tasks.Create({ container_id: id, rootfs: mounts }, { timeout: 300 }), 'deadline exceeded');
    assert.deepEqual(await disagreements(t.daemon, t.client), []);
    assert.deepEqual((await t.client.tasks.List({})).tasks, []);
    await t.restart('kill');
    assert.deepEqual(await disagreements(t.daemon, t.client), []);
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter, key: id });
    assert.equal((await run(t.client, image, ['echo', 'again'])).stdout, 'again\n');
  });

  it('a wait ends, and the container and those who wait on do not notice', async () => {
    const id = await startContainer(t.client, image, ['sleep', '100000']);
    const patient = t.client.tasks.Wait({ container_id: id });
    const control = new AbortController();
    const cancelled = Array.from({ length: 5 }, () =>
      t.client.tasks.Wait({ container_id: id }, { signal: control.signal }),
    );
    const hurried = Array.from({ length: 100 }, () => t.client.tasks.Wait({ container_id: id }, { timeout: 200 }));
    await Promise.all(hurried.map((call) => assert.rejects(call, LATE)));
    control.abort();
    await Promise.all(cancelled.map((call) => assert.rejects(call, /cancell?ed/i)));
    assert.equal((await exec(t.client, id, ['echo', 'alive'])).stdout, 'alive\n');
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    assert.equal((await patient).exit_status, 137);
    await removeContainer(t.client, id);
  });

  it('a write ends: its ref is free, and what came is kept', async () => {
    const ref = 'hurried';
    const call = t.client.content.Write({ timeout: 500 });
    await call.send({ action: WRITE.WRITE, ref, offset: '0', data: randomBytes(1000) });
    await call.receive();
    await fails(call.receive(), 'deadline exceeded');
    await eventually('another may write', async () => {
      const next = t.client.content.Write();
      try {
        await next.send({ action: WRITE.STAT, ref });
        return (await next.receive())?.offset === '1000';
      } catch {
        return false;
      } finally {
        next.cancel();
      }
    });
    await eventually('and give it up', () =>
      t.client.content.Abort({ ref }).then(
        () => true,
        () => false,
      ),
    );
  });

  it('unpacking ends, and its snapshot can be removed', async () => {
    const files = Array.from({ length: 40 }, (_, index) => ({ name: `file-${index}`, content: randomBytes(500_000) }));
    const layer = makeLayer(files);
    const digest = await putBlob(t.client, layer.bytes, ROOTED);
    const { mounts } = await t.client.snapshots.Prepare({ snapshotter, key: 'hurried', labels: ROOTED });
    await fails(
      t.client.diff.Apply({ diff: descriptor(layer.descriptor), mounts }, { timeout: 20 }),
      'deadline exceeded',
    );
    await t.client.snapshots.Remove({ snapshotter, key: 'hurried' });
    await t.client.content.Delete({ digest });
    if (t.target === 'davit') assert.deepEqual(await disagreements(t.daemon, t.client), []);
  });

  it('a subscription ends', () => assert.rejects(collect(t.client.events.Subscribe({}, { timeout: 200 })), LATE));
});
