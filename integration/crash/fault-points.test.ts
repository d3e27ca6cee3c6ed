// The daemon dies, fails or stands still at each of its fault points (docs/fault-points.md).
import { strict as assert } from 'node:assert';
import { before, describe, it } from 'mocha';
import type { FaultPoint } from '../../services/lib/fault.ts';
import { disagreements, collectGarbage } from '../harness/agreement.ts';
import { exec, startContainer, STATUS } from '../harness/container.ts';
import { watchExits } from '../harness/exit-watch.ts';
import { eventually, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { getBlob, putBlob, putImage } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';
import { EXIT, taskWorks, WORKS, type Work } from '../harness/works.ts';

interface Case {
  readonly work: Work;
  /** Whether the work is done when the daemon that died there has been started again. */
  readonly outlives: boolean;
  /**
   * What a failure there comes to: the client is told, and the work is not done; or it is done all the
   * same, and only the log tells. Undefined where nothing can fail.
   */
  readonly fails: 'told' | 'logged' | undefined;
}

const image = busyboxImage();
const tasks = taskWorks(image);
const EXITED = { id: 'work', container: 'work', status: EXIT };
const told = (work: Work): Case => ({ work, outlives: false, fails: 'told' });

/** Every point but those of pulls (pull-faults.test.ts): the compiler sees that none is forgotten. */
const CASES: Readonly<Record<Exclude<FaultPoint, `transfer.${string}`>, Case>> = {
  'content.write.before-append': told(WORKS.blob),
  'content.commit.before-rename': told(WORKS.blob),
  'content.commit.before-record': told(WORKS.blob),
  'content.commit.after-record': { work: WORKS.blob, outlives: true, fails: undefined },
  'diff.apply.after-extract': told(WORKS.unpacked),
  'diff.compare.before-commit': told(WORKS.diff),
  'gc.sweep.before-files': { work: WORKS.garbage, outlives: true, fails: undefined },
  'metadata.batch.before-write': told(WORKS.lease),
  'metadata.batch.after-write': { work: WORKS.lease, outlives: true, fails: 'told' },
  'mounts.activate.after-mount': told(WORKS.activated),
  'mounts.temporary.after-mount': told(WORKS.unpackedMounted),
  'runtime.create.after-bundle': told(tasks.started),
  'runtime.create.after-start': told(tasks.started),
  'runtime.create.after-create': { work: tasks.started, outlives: true, fails: 'told' },
  'runtime.delete.after-shim': { work: tasks.deleted, outlives: true, fails: undefined },
  'runtime.delete.before-bundle': { work: tasks.deleted, outlives: true, fails: undefined },
  'runtime.recover.before-connect': { work: tasks.kept, outlives: true, fails: 'logged' },
  'snapshots.prepare.before-record': told(WORKS.prepared),
  'snapshots.commit.before-record': told(WORKS.committed),
  'snapshots.commit.before-sync': { work: WORKS.committed, outlives: true, fails: undefined },
  'snapshots.commit.after-sync': { work: WORKS.committed, outlives: true, fails: undefined },
  'snapshots.remove.before-files': { work: WORKS.removed, outlives: true, fails: 'logged' },
};

(targetOf(process.env) === 'davit' ? describe : describe.skip)('fault points of the daemon', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const kept = Buffer.alloc(100_000, 'kept');
  let steady = '';
  let pid = 0;

  before(async () => {
    await putImage(t.client, image);
    await putBlob(t.client, kept, ROOTED);
    steady = await startContainer(t.client, image, ['sleep', '100000']);
    pid = present((await t.client.tasks.Get({ container_id: steady })).process).pid;
  });

  /** What was there before the fault is there, and nothing else is. */
  async function assertSound(): Promise<void> {
    const process_ = present((await t.client.tasks.Get({ container_id: steady })).process);
    assert.deepEqual([process_.status, process_.pid], [STATUS.RUNNING, pid]);
    assert.equal((await exec(t.client, steady, ['echo', 'alive'])).stdout, 'alive\n');
    assert.ok(kept.equals(await getBlob(t.client, await putBlob(t.client, kept, ROOTED))));
    await t.client.images.Get({ name: image.name });
    assert.deepEqual(await disagreements(t.daemon, t.client), []);
  }

  async function armed(point: string, action: string, work: Work): Promise<void> {
    await work.prepare?.(t.client);
    await collectGarbage(t.client);
    await t.restart('kill', undefined, { DAVIT_FAULTS: `${point}=${action}` });
  }

  /** After the fault: what is there is sound, and the work can be done. */
  async function assertDoable(work: Work): Promise<void> {
    await assertSound();
    await work.run(t.client);
    assert.ok(await work.done(t.client), 'done in the end');
    await work.undo(t.client);
    assert.deepEqual(await disagreements(t.daemon, t.client), []);
  }

  for (const [point, { work, outlives, fails }] of Object.entries(CASES)) {
    it(`dies at ${point}`, async () => {
      await using watching =
        work === tasks.deleted ? await watchExits(t.daemon.address, t.client.namespace) : undefined;
      await armed(point, 'die', work);
      const again = async (): Promise<void> => {
        do await work.run(t.client);
        while (work === tasks.kept);
      };
      await assert.rejects(again());
      await t.daemon.ended();
      await t.restart('kill');
      assert.equal(await work.done(t.client), outlives);
      await assertDoable(work);
      if (watching !== undefined)
        assert.deepEqual(
          watching.exits.filter(({ id }) => id === 'work'),
          [EXITED],
        );
    });

    if (fails === undefined) continue;
    it(`fails at ${point}`, async () => {
      await armed(point, 'fail', work);
      const said = new RegExp(`fault point \\\\?"${point}\\\\?" was told to fail: internal`);
      if (fails === 'told') await assert.rejects(work.run(t.client), said);
      else await work.run(t.client);
      assert.equal(await work.done(t.client), fails === 'logged');
      if (fails === 'logged') await eventually('it is logged', () => said.test(t.daemon.log()));
      if (fails === 'told' && !point.startsWith('metadata.')) await assertSound();
      await t.restart('stop');
      assert.equal(await work.done(t.client), fails === 'logged');
      await assertDoable(work);
    });
  }

  const STALLED: readonly (keyof typeof CASES)[] = [
    'content.commit.before-rename',
    'diff.apply.after-extract',
    'mounts.temporary.after-mount',
    'snapshots.commit.before-sync',
  ];
  it('while one call stands still, the others are served', async () => {
    for (const point of STALLED) {
      const { work } = CASES[point];
      await armed(point, 'stall:2000', work);
      let over = false;
      const running = work.run(t.client).finally(() => (over = true));
      await t.client.leases.Create({ id: 'meanwhile' });
      await t.client.leases.Delete({ id: 'meanwhile' });
      assert.equal((await exec(t.client, steady, ['echo', 'alive'])).stdout, 'alive\n');
      assert.ok(!over, `others are served while one stands still at ${point}`);
      await running;
      assert.ok(await work.done(t.client));
      await work.undo(t.client);
    }
    await t.restart('stop');
    await assertSound();
  });
});
