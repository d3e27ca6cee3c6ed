// kill -9 of the daemon at random moments while containers run and others come and go.
//
// CRASH_ROUNDS sets how often (default 6, enough for `make test`).
import { strict as assert } from 'node:assert';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { disagreements } from '../harness/agreement.ts';
import { emptyNamespace } from '../harness/cleanup.ts';
import {
  createContainer,
  createTask,
  exec,
  removeContainer,
  startContainer,
  STATUS,
  uniqueId,
} from '../harness/container.ts';
import { watchExits } from '../harness/exit-watch.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { assertWhole, COUNTING } from '../harness/lines.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 6);
const STEADY = 10;
const LOADERS = 4;
const LONGEST_LIFE_MS = 600;

/** A container of the load, as far as its client was told. */
interface Life {
  readonly id: string;
  readonly code: number;
  stage: 'making' | 'started' | 'deleting' | 'deleted';
}

describe(`random kills: ${ROUNDS} rounds`, () => {
  const t = useDaemon({ leftByContainerd: 'containerd 1.6 loses the shims of tasks that were being made' });
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  /** Runs, execs and deletes until it is told to stop; the daemon may be gone at any moment. */
  async function load(client: Client, target: string, lives: Life[], stopped: () => boolean): Promise<void> {
    const unlessKilled = (error: unknown): void => {
      if (!stopped() || error instanceof assert.AssertionError) throw error;
    };
    while (!stopped()) {
      const life: Life = { id: uniqueId('load'), code: randomInt(1, 100), stage: 'making' };
      lives.push(life);
      await live(client, life).catch(unlessKilled);
      const code = randomInt(1, 100);
      await exec(client, target, ['sh', '-c', `exit ${code}`]).then(
        ({ status }) => assert.equal(status, code),
        unlessKilled,
      );
    }
  }

  async function live(client: Client, life: Life): Promise<void> {
    const { id, code } = life;
    await createContainer(client, image, ['sh', '-c', `usleep ${randomInt(30_000)}; exit ${code}`], {}, id);
    await createTask(client, id);
    await client.tasks.Start({ container_id: id });
    life.stage = 'started';
    assert.equal((await client.tasks.Wait({ container_id: id })).exit_status, code);
    if (randomInt(3) === 0) return;
    life.stage = 'deleting';
    assert.equal(await removeContainer(client, id), code);
    life.stage = 'deleted';
  }

  /** After the restart: what was started is there, and ends as it was to; gives how many exits were checked. */
  async function assertKept(client: Client, lives: readonly Life[]): Promise<number> {
    let checked = 0;
    for (const { id, code, stage } of lives) {
      const there = await client.tasks.Get({ container_id: id }).then(
        () => true,
        (error: unknown) => (assert.ok(isNotFound(error), String(error)), false),
      );
      if (stage === 'started') assert.ok(there, `task ${id} is lost`);
      if (stage === 'deleted') assert.ok(!there, `task ${id} is there again`);
      if (!there || stage === 'making') continue;
      assert.equal((await client.tasks.Wait({ container_id: id })).exit_status, code, `exit status of ${id}`);
      checked += 1;
    }
    return checked;
  }

  it(`no container, exit status or line is lost, and nothing stays behind`, async function () {
    this.timeout(60_000 + ROUNDS * 30_000);
    const directory = mkdtempSync('/tmp/davit-log-');
    const pipes = createStdio();
    const terminal = createStdio({ terminal: true });
    const outputs = [pipes.openOutput('stdout'), pipes.openOutput('stderr'), terminal.openOutput('stdout')] as const;
    const ids = [await createContainer(t.client, image, COUNTING), await createContainer(t.client, image, COUNTING)];
    ids.push(await createContainer(t.client, image, COUNTING, { terminal: true }));
    const [piped = '', logged = '', shown = ''] = ids;
    await createTask(t.client, piped, pipes.paths);
    await createTask(t.client, logged, { stdout: `file://${directory}/log`, stderr: `file://${directory}/log` });
    await createTask(t.client, shown, terminal.paths, true);
    for (const container_id of ids) await t.client.tasks.Start({ container_id });
    while (ids.length < STEADY) ids.push(await startContainer(t.client, image, ['sleep', '100000']));
    const pids = new Map<string, number>();
    for (const { id, pid } of (await t.client.tasks.List({})).tasks) pids.set(id, pid);
    await using watching = await watchExits(t.daemon.address);

    const codes = new Map<string, number>();
    let [slowest, checked] = [0, 0];
    for (let round = 0; round < ROUNDS; round += 1) {
      let over = false;
      const client = t.inNewNamespace();
      await putImage(client, image);
      const steady = await startContainer(client, image, ['sleep', '100000']);
      const lives: Life[] = [];
      const loads = Array.from({ length: LOADERS }, () => load(client, steady, lives, () => over));
      await Promise.race([sleep(Math.random() * LONGEST_LIFE_MS), ...loads]);
      over = true;
      slowest = Math.max(
        slowest,
        await t.restart('kill', () => {
          client.close();
          return Promise.all(loads).then(() => undefined);
        }),
      );
      const again = t.client.with({ namespace: client.namespace });
      const { tasks } = await t.client.tasks.List({});
      assert.deepEqual(new Map(tasks.map(({ id, pid }) => [id, pid])), pids, `round ${round}`);
      assert.ok(tasks.every(({ status }) => status === STATUS.RUNNING));
      checked += await assertKept(again, lives);
      for (const { id, code } of lives) codes.set(id, code);
      const target = ids[round % ids.length] ?? '';
      assert.equal((await exec(t.client, target, ['echo', 'alive'])).stdout, 'alive\n');
      assert.deepEqual(await emptyNamespace(again), [], `round ${round}`);
      if (t.target === 'davit') assert.deepEqual(await disagreements(t.daemon, t.client), [], `round ${round}`);
    }
    console.log(`      ready again after at most ${Math.round(slowest)} ms`);
    console.log(`      ${codes.size} containers in the load, ${checked} of their exit statuses asked for after a kill`);

    for (const id of ids) {
      const counts = ids.indexOf(id) < 3;
      await t.client.tasks.Kill({ container_id: id, signal: counts ? 15 : 9 });
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, counts ? 0 : 137);
      await removeContainer(t.client, id);
      assert.ok(!existsSync(`/proc/${pids.get(id) ?? 0}`));
    }
    await Promise.all([outputs[0].ended, outputs[2].ended]);
    const lines = [outputs[0].text, outputs[2].text, readFileSync(`${directory}/log`, 'utf8')].map(assertWhole);
    console.log(`      lines to a FIFO, a terminal, a file: ${lines.join(', ')}; none lost`);
    const told = watching.exits.filter(({ id, container, status }) => id === container && codes.get(id) === status);
    assert.equal(new Set(told.map(({ id }) => id)).size, told.length, 'no exit is told twice');
    for (const output of outputs) output.close();
    for (const stdio of [pipes, terminal]) stdio.remove();
    rmSync(directory, { recursive: true });
  });
});
