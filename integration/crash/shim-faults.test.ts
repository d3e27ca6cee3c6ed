// The shim dies, or its step fails, at each of its fault points (docs/fault-points.md), and the daemon
// dies while a shim stands still there.
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, isNotFound } from '../../client/errors.ts';
import { disagreements } from '../harness/agreement.ts';
import { removeTask } from '../harness/cleanup.ts';
import { createContainer, createTask, exec, STATUS } from '../harness/container.ts';
import { watchExits } from '../harness/exit-watch.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { putImage } from '../harness/store.ts';
import { REPOSITORY, targetOf } from '../harness/target.ts';

const EXIT = 7;
/** As the page lists them: a place that is missing there, or here, is a place that nobody tries. */
const PLACES = [
  ...readFileSync(path.join(REPOSITORY, 'docs/fault-points.md'), 'utf8').matchAll(/^\| `(shim\.[a-z.-]+)`/gm),
].map(([, place]) => place ?? '');

(targetOf(process.env) === 'davit' ? describe : describe.skip)('fault points of the shim', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const image = busyboxImage();
  const id = 'faulty';

  before(async () => {
    await putImage(t.client, image);
    await createContainer(
      t.client,
      image,
      ['sh', '-c', `trap "exit ${EXIT}" TERM; while :; do usleep 10000; done`],
      {},
      id,
    );
  });

  /** A whole life, as clients lead it; rejects with what went wrong first. */
  async function live(): Promise<void> {
    await createTask(t.client, id);
    await t.client.tasks.Start({ container_id: id });
    assert.equal((await exec(t.client, id, ['sh', '-c', 'echo x; exit 4'])).status, 4);
    await t.client.tasks.Kill({ container_id: id, signal: 15 });
    assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, EXIT);
    assert.equal((await t.client.tasks.Delete({ container_id: id })).exit_status, EXIT);
  }

  async function killShim(): Promise<void> {
    const file = path.join(t.daemon.state, 'tasks', t.client.namespace, id, 'shim.pid');
    if (existsSync(file)) process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
    await eventually('it is cleaned up after', async () => (await t.client.tasks.List({})).tasks.length === 0);
  }

  async function assertNothingLeft(): Promise<void> {
    await removeTask(t.client, id);
    assert.deepEqual(await disagreements(t.daemon, t.client), []);
  }

  it('are many', () => assert.ok(PLACES.length >= 15, PLACES.join()));

  for (const action of ['die', 'fail'])
    for (const place of PLACES)
      it(`${action}: ${place}`, async () => {
        await using watching = await watchExits(t.daemon.address, t.client.namespace);
        // A daemon that has just started tells what it found, which may be the last test's.
        const earlier = watching.exits.length;
        await t.restart('kill', undefined, { DAVIT_FAULTS: `${place}=${action}` });
        const outcome = await live().then(
          () => undefined,
          (error: Error) => error,
        );
        if (outcome !== undefined) {
          assert.ok(outcome instanceof ClientError || outcome instanceof assert.AssertionError, outcome.message);
          assert.ok(outcome.message.length > 10, outcome.message);
        }
        // A shim that cannot delete never will.
        if (action === 'fail') await killShim();
        if (action === 'die') await assertNothingLeft();
        await t.restart('kill');
        await assertNothingLeft();
        await live();
        await assertNothingLeft();
        await sleep(100);
        const exits = watching.exits
          .slice(earlier)
          .filter((exit) => exit.id === id)
          .map(({ status }) => status);
        assert.ok(exits.length <= 2, `no exit is told twice: ${exits.join()}`);
        assert.equal(exits.at(-1), EXIT);
      });

  const STALLED = PLACES.filter((place) => /create\.|start\.|exit\.|delete\./.test(place));
  for (const place of STALLED)
    it(`the daemon dies while the shim stands still: ${place}`, async () => {
      await t.restart('kill', undefined, { DAVIT_FAULTS: `${place}=stall:600` });
      let over = false;
      const life = live().then(
        () => (over = true),
        () => undefined,
      );
      await sleep(Math.random() * 500);
      await t.restart('kill', () => life.then(() => undefined));
      if (!over)
        await eventually('its shim answers again', () =>
          t.client.tasks.Get({ container_id: id }).then(
            ({ process }) => process?.status !== STATUS.UNKNOWN,
            (error: unknown) => isNotFound(error),
          ),
        );
      await assertNothingLeft();
      await live();
      await assertNothingLeft();
    });
});
