// kill -9 of the daemon at random moments while containers run and others come and go.
//
// CRASH_ROUNDS sets how often (default 6, enough for `make test`).
import { strict as assert } from 'node:assert';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import { emptyNamespace } from '../harness/cleanup.ts';
import {
  createContainer,
  createTask,
  exec,
  removeContainer,
  run,
  startContainer,
  STATUS,
} from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 6);
const STEADY = 10;
const LOADERS = 4;
const LONGEST_LIFE_MS = 600;
const COUNTING = ['sh', '-c', 'i=0; while :; do i=$((i + 1)); echo line $i; usleep 20000; done'];

describe(`random kills: ${ROUNDS} rounds`, () => {
  const t = useDaemon({ leftByContainerd: 'containerd 1.6 loses the shims of tasks that were being made' });
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  /** Runs, execs and deletes until it is told to stop; the daemon may be gone at any moment. */
  async function load(client: Client, target: string, stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      await run(client, image, ['sh', '-c', 'echo x']).catch(() => undefined);
      await exec(client, target, ['true']).catch(() => undefined);
      await sleep(1);
    }
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

    let slowest = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      let over = false;
      const client = t.inNewNamespace();
      await putImage(client, image);
      const steady = await startContainer(client, image, ['sleep', '100000']);
      const loads = Array.from({ length: LOADERS }, () => load(client, steady, () => over));
      await sleep(Math.random() * LONGEST_LIFE_MS);
      slowest = Math.max(
        slowest,
        await t.restart('kill', () => {
          over = true;
          client.close();
          return Promise.all(loads).then(() => undefined);
        }),
      );
      const { tasks } = await t.client.tasks.List({});
      assert.deepEqual(new Map(tasks.map(({ id, pid }) => [id, pid])), pids, `round ${round}`);
      assert.ok(tasks.every(({ status }) => status === STATUS.RUNNING));
      const target = ids[round % ids.length] ?? '';
      assert.equal((await exec(t.client, target, ['echo', 'alive'])).stdout, 'alive\n');
      assert.deepEqual(await emptyNamespace(t.client.with({ namespace: client.namespace })), [], `round ${round}`);
    }
    console.log(`      ready again after at most ${Math.round(slowest)} ms`);

    for (const id of ids) {
      await t.client.tasks.Kill({ container_id: id, signal: 9 });
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 137);
      await removeContainer(t.client, id);
      assert.ok(!existsSync(`/proc/${pids.get(id) ?? 0}`));
    }
    await Promise.all([outputs[0].ended, outputs[2].ended]);
    for (const text of [outputs[0].text, outputs[2].text, readFileSync(`${directory}/log`, 'utf8')]) {
      const numbers = [...text.matchAll(/^line (\d+)\r?\n/gm)].map((match) => Number(match[1]));
      for (const [index, number] of numbers.entries()) assert.equal(number, index + 1);
    }
    for (const output of outputs) output.close();
    for (const stdio of [pipes, terminal]) stdio.remove();
    rmSync(directory, { recursive: true });
  });
});
