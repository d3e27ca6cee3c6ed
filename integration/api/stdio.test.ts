// Standard input and output: FIFOs, files, terminals; clients that leave and come back.
import { strict as assert } from 'node:assert';
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeTask } from '../harness/cleanup.ts';
import { createContainer, createTask, removeContainer, run } from '../harness/container.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const MEGABYTE = 1024 * 1024;

/** What a client reads that opens the FIFO now, and meets its end. */
async function readToEnd(fifo: string): Promise<string> {
  const descriptor = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(4096);
  let text = '';
  await eventually(`the end of ${fifo}`, () => {
    try {
      const count = readSync(descriptor, buffer);
      text += buffer.toString('utf8', 0, count);
      return count === 0;
    } catch (error) {
      // Nothing now, but somebody may still write.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw error;
    }
  });
  closeSync(descriptor);
  return text;
}

describe('stdio', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  it('delivers every byte of a large output', async () => {
    const { stdout, status } = await run(t.client, image, ['sh', '-c', 'seq 1 200000']);
    assert.equal(status, 0);
    assert.equal(stdout.length, 1_288_895);
    assert.ok(stdout.endsWith('199999\n200000\n'));
  });

  it('keeps stdout and stderr apart', async () => {
    const { stdout, stderr } = await run(t.client, image, [
      'sh',
      '-c',
      'for i in 1 2 3; do echo o$i; echo e$i >&2; done',
    ]);
    assert.deepEqual([stdout, stderr], ['o1\no2\no3\n', 'e1\ne2\ne3\n']);
  });

  it('ends standard input with CloseIO', async () => {
    const id = await createContainer(t.client, image, ['cat']);
    const stdio = createStdio({ stdin: true });
    const output = stdio.openOutput('stdout');
    const errors = stdio.openOutput('stderr');
    await createTask(t.client, id, stdio.paths);
    const input = stdio.openInput();
    await t.client.tasks.Start({ container_id: id });
    input.write('first\n');
    await output.waitFor(/first/);
    input.write('last\n');
    input.close();
    await t.client.tasks.CloseIO({ container_id: id, stdin: true });
    assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 0);
    await removeContainer(t.client, id);
    await output.ended;
    assert.equal(output.text, 'first\nlast\n');
    errors.close();
    stdio.remove();
  });

  it('a client may leave and come back: no output is lost, the process does not notice', async () => {
    const id = await createContainer(t.client, image, [
      'sh',
      '-c',
      'i=0; while :; do i=$((i + 1)); echo line $i; usleep 10000; done',
    ]);
    const stdio = createStdio();
    const first = stdio.openOutput('stdout');
    const errors = stdio.openOutput('stderr');
    await createTask(t.client, id, stdio.paths);
    await t.client.tasks.Start({ container_id: id });
    await first.waitFor(/line 5\n/);
    first.close();
    await sleep(300);
    const second = stdio.openOutput('stdout');
    await second.waitFor(/line \d+\nline \d+\n/);
    const before = [...first.text.matchAll(/line (\d+)\n/g)].map((match) => Number(match[1]));
    const after = [...second.text.matchAll(/line (\d+)\n/g)].map((match) => Number(match[1]));
    assert.ok((after[0] ?? 0) <= (before.at(-1) ?? 0) + 2, `${before.at(-1)} then ${after[0]}`);
    assert.equal((await t.client.tasks.Get({ container_id: id })).process?.status, 2);
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
    second.close();
    errors.close();
    stdio.remove();
  });

  for (const left of ['', 'last words\n'])
    it(`a client that comes after the end meets it${left === '' ? '' : ', after what nobody has read'}`, async function () {
      if (left !== '') davitOnly(this, t.target, 'containerd throws away what nobody has read at the end');
      const id = await createContainer(t.client, image, ['sh', '-c', `sleep 0.3; printf '${left}'`]);
      const stdio = createStdio();
      const early = [stdio.openOutput('stdout'), stdio.openOutput('stderr')];
      await createTask(t.client, id, stdio.paths);
      await t.client.tasks.Start({ container_id: id });
      for (const output of early) output.close();
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 0);
      await sleep(100);
      assert.equal(await readToEnd(stdio.paths.stdout), left);
      assert.equal(await readToEnd(stdio.paths.stderr), '');
      await removeContainer(t.client, id);
      stdio.remove();
    });

  it('a client that never reads stops the output, not the daemon', async () => {
    const id = await createContainer(t.client, image, ['yes']);
    const stdio = createStdio();
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    const unread = [openSync(stdio.paths.stdout, flags), openSync(stdio.paths.stderr, flags)];
    await createTask(t.client, id, stdio.paths);
    await t.client.tasks.Start({ container_id: id });
    await sleep(300);
    await t.client.tasks.Get({ container_id: id }, { timeout: 10_000 });
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    // What is in the pipes has nobody to go to: the delete gives it up, now that nobody may come.
    for (const descriptor of unread) closeSync(descriptor);
    await removeContainer(t.client, id);
    stdio.remove();
  });

  it('gives /dev/null without paths', async () => {
    const id = await createContainer(t.client, image, [
      'sh',
      '-c',
      'read x; echo $?; test -c /proc/self/fd/1; exit $?',
    ]);
    await createTask(t.client, id);
    await t.client.tasks.Start({ container_id: id });
    assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 0);
    await removeContainer(t.client, id);
  });

  it('appends to a file', async () => {
    const directory = mkdtempSync('/tmp/davit-log-');
    const file = `${directory}/log`;
    for (const text of ['one', 'two']) {
      const id = await createContainer(t.client, image, ['sh', '-c', `echo ${text}; echo ${text}-error >&2`]);
      await createTask(t.client, id, { stdout: `file://${file}`, stderr: `file://${file}` });
      await t.client.tasks.Start({ container_id: id });
      await t.client.tasks.Wait({ container_id: id });
      // containerd 1.6 may lose the last lines of a log when the task is deleted at once.
      if (t.target === 'containerd') await sleep(300);
      await removeContainer(t.client, id);
    }
    await eventually('all is written', () => existsSync(file) && readFileSync(file, 'utf8').split('\n').length === 5);
    assert.deepEqual(readFileSync(file, 'utf8').trim().split('\n').sort(), ['one', 'one-error', 'two', 'two-error']);
    rmSync(directory, { recursive: true });
  });

  it('gives a terminal that can be resized', async () => {
    const id = await createContainer(
      t.client,
      image,
      ['sh', '-c', 'tty; trap "stty size" WINCH; echo ready; while :; do usleep 50000; done'],
      { terminal: true },
    );
    const stdio = createStdio({ terminal: true, stdin: true });
    const output = stdio.openOutput('stdout');
    await createTask(t.client, id, stdio.paths, true);
    await t.client.tasks.Start({ container_id: id });
    await output.waitFor(/^\/dev\/(pts\/0|console)\r\nready\r\n/);
    await t.client.tasks.ResizePty({ container_id: id, width: 111, height: 44 });
    await output.waitFor(/44 111\r\n/);
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
    output.close();
    stdio.remove();
  });

  it('hands on keys of a terminal', async () => {
    const id = await createContainer(t.client, image, ['sh'], { terminal: true });
    const stdio = createStdio({ terminal: true, stdin: true });
    const output = stdio.openOutput('stdout');
    await createTask(t.client, id, stdio.paths, true);
    const input = stdio.openInput();
    await t.client.tasks.Start({ container_id: id });
    input.write('echo sum-$((40 + 2))\n');
    await output.waitFor(/sum-42/);
    // The key must meet the job, not the shell that is about to start it.
    input.write('sh -c "echo job-\\$((1)); exec sleep 100"\n');
    await output.waitFor(/job-1/);
    input.write('\u0003');
    input.write('echo after-$((1 + 1))\n');
    await output.waitFor(/after-2/);
    input.write('exit 6\n');
    assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 6);
    await removeContainer(t.client, id);
    await output.ended;
    input.close();
    stdio.remove();
  });

  it('delivers the last words of a process that ends at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { stdout } = await run(t.client, image, ['sh', '-c', `seq 1 5000; echo end-${round}`]);
      assert.ok(stdout.endsWith(`5000\nend-${round}\n`));
    }
    const big = await run(t.client, image, ['dd', 'if=/dev/zero', `bs=${MEGABYTE}`, 'count=4']);
    assert.equal(big.stdout.length, 4 * MEGABYTE);
  });

  it('a process in the background that keeps the output open does not hold up the end', async () => {
    const id = await createContainer(t.client, image, ['sh', '-c', 'sleep 1000 & echo done']);
    const stdio = createStdio();
    const outputs = [stdio.openOutput('stdout'), stdio.openOutput('stderr')] as const;
    await createTask(t.client, id, stdio.paths);
    await t.client.tasks.Start({ container_id: id });
    const began = performance.now();
    await t.client.tasks.Wait({ container_id: id });
    await removeTask(t.client, id);
    assert.ok(performance.now() - began < 12_000);
    assert.equal(outputs[0].text, 'done\n');
    for (const output of outputs) output.close();
    stdio.remove();
  });
});
