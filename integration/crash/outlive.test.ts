// Ten containers at work, and the daemon is killed: what issue and users mean by "they outlive it", in one go.
import { strict as assert } from 'node:assert';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContainer, createTask, exec, removeContainer, startContainer, STATUS } from '../harness/container.ts';
import { watchExits } from '../harness/exit-watch.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { assertWhole, COUNTING } from '../harness/lines.ts';
import { createStdio, type Output } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const CODES = [11, 22, 33];
const exiting = (code: number): readonly string[] => [
  'sh',
  '-c',
  `trap "exit ${code}" TERM; while :; do usleep 20000; done`,
];

describe('ten containers, and the daemon is killed', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  const process_ = async (id: string) => present((await t.client.tasks.Get({ container_id: id })).process);

  it('they run on, no output is lost, what ended is told once, and all of it can be used again', async function () {
    this.timeout(120_000);
    const directory = mkdtempSync('/tmp/davit-log-');
    const log = `${directory}/log`;
    const [pipes, terminal, input] = [createStdio(), createStdio({ terminal: true }), createStdio({ stdin: true })];
    const piped = await createContainer(t.client, image, COUNTING);
    const logged = await createContainer(t.client, image, COUNTING);
    const shown = await createContainer(t.client, image, COUNTING, { terminal: true });
    const talking = await createContainer(t.client, image, ['cat']);
    const readers = [pipes.openOutput('stdout'), terminal.openOutput('stdout'), input.openOutput('stdout')] as const;
    const silent = [pipes.openOutput('stderr'), input.openOutput('stderr')];
    const [pipe, screen, echo] = readers;
    await createTask(t.client, piped, pipes.paths);
    await createTask(t.client, logged, { stdout: `file://${log}`, stderr: `file://${log}` });
    await createTask(t.client, shown, terminal.paths, true);
    await createTask(t.client, talking, input.paths);
    for (const container_id of [piped, logged, shown, talking]) await t.client.tasks.Start({ container_id });
    const seven = [piped, logged, shown, talking];
    while (seven.length < 7) seven.push(await startContainer(t.client, image, ['sleep', '100000']));
    const three: string[] = [];
    for (const code of CODES) three.push(await startContainer(t.client, image, exiting(code)));
    const pids = new Map<string, number>();
    for (const id of [...seven, ...three]) pids.set(id, (await process_(id)).pid);
    await using watching = await watchExits(t.daemon.address, t.client.namespace);
    await pipe.waitFor(/line 20\n/);
    await eventually('the traps are set', () =>
      three.every((id) => existsSync(`/proc/${pids.get(id) ?? 0}/task/${pids.get(id) ?? 0}/children`)),
    );

    const lines = (): number => readFileSync(log, 'utf8').split('\n').length;
    const seen = (): number[] => [pipe.text.length, screen.text.length, lines()];
    const ready = await t.restart('kill', async () => {
      const [before, pidsDown] = [seen(), [...pids.values()]];
      for (const id of three) process.kill(pids.get(id) ?? 0, 'SIGTERM');
      await eventually('three ended', () => three.every((id) => !existsSync(`/proc/${pids.get(id) ?? 0}`)));
      await sleep(500);
      assert.equal(pidsDown.filter((pid) => existsSync(`/proc/${pid}`)).length, 7, 'seven run on without a daemon');
      for (const [index, length] of seen().entries())
        assert.ok(length > (before[index] ?? 0), 'output goes on without a daemon');
    });
    console.log(`      ready after ${Math.round(ready)} ms`);

    for (const id of seven) {
      const { status, pid } = await process_(id);
      assert.deepEqual([status, pid], [STATUS.RUNNING, pids.get(id)]);
      assert.equal((await exec(t.client, id, ['sh', '-c', 'echo alive; exit 3'])).stdout, 'alive\n');
    }
    for (const [index, id] of three.entries()) {
      const { status, exit_status } = await process_(id);
      assert.deepEqual([status, exit_status], [STATUS.STOPPED, CODES[index]]);
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, CODES[index]);
    }

    // Attach: the client that was there goes, and another opens the same FIFOs.
    const first = [pipe.text, screen.text, echo.text];
    for (const output of readers) output.close();
    const texts = [pipe.text, screen.text, echo.text];
    assert.ok(texts.every((text, index) => text.length >= (first[index] ?? '').length));
    const attached: Output[] = [pipes.openOutput('stdout'), terminal.openOutput('stdout'), input.openOutput('stdout')];
    const keyboard = input.openInput();
    keyboard.write('typed after the restart\n');
    await attached[2]?.waitFor(/typed after the restart\n/);
    for (const output of attached.slice(0, 2)) await output.waitFor(/line \d+\r?\n/);
    keyboard.close();

    const told = (ids: readonly string[]) =>
      watching.exits.filter(({ id }) => ids.includes(id)).map(({ id, status }) => [id, status]);
    await eventually('the exits are told', () => told(three).length >= 3);
    for (const id of [piped, logged, shown]) await t.client.tasks.Kill({ container_id: id, signal: 15 });
    for (const id of seven.slice(3)) await t.client.tasks.Kill({ container_id: id, signal: 9 });
    for (const id of seven)
      assert.equal(
        (await t.client.tasks.Wait({ container_id: id })).exit_status,
        [piped, logged, shown].includes(id) ? 0 : 137,
      );
    for (const [index, id] of three.entries()) assert.equal(await removeContainer(t.client, id), CODES[index]);
    for (const id of seven) await removeContainer(t.client, id);
    await eventually('all exits are told', () => told(seven).length >= 7);
    await sleep(500);
    assert.deepEqual(
      told(three).sort(),
      three.map((id, index) => [id, CODES[index]]).sort(),
      'each exit once, with its code',
    );
    assert.equal(told(seven).length, 7);
    for (const id of [...seven, ...three]) await fails(t.client.tasks.Get({ container_id: id }), 'not found');

    await Promise.all(attached.map(({ ended }) => ended));
    const counted = [
      assertWhole(texts[0] + (attached[0]?.text ?? '')),
      assertWhole(texts[1] + (attached[1]?.text ?? '')),
      assertWhole(readFileSync(log, 'utf8')),
    ];
    console.log(`      lines to a FIFO, a terminal, a file: ${counted.join(', ')}; none lost`);
    for (const output of [...attached, ...silent]) output.close();
    for (const stdio of [pipes, terminal, input]) stdio.remove();
    rmSync(directory, { recursive: true });
  });
});
