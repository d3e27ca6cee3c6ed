// Containers outlive the daemon: stopped, killed, started again.
import { strict as assert } from 'node:assert';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROCESS_URL } from '../../client/any.ts';
import {
  createContainer,
  createTask,
  exec,
  json,
  removeContainer,
  startContainer,
  STATUS,
} from '../harness/container.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { assertContiguous, COUNTING } from '../harness/lines.ts';
import { processSpec } from '../harness/spec.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const OBEDIENT = ['sh', '-c', 'trap "exit 7" TERM; while :; do usleep 20000; done'];

for (const how of ['stop', 'kill'] as const) {
  describe(`the daemon is ${how === 'stop' ? 'stopped' : 'killed'} and started again`, () => {
    const t = useDaemon();
    const image = busyboxImage();

    before(() => putImage(t.client, image));

    const process_ = async (id: string, exec_id = '') =>
      present((await t.client.tasks.Get({ container_id: id, exec_id })).process);
    async function killAndRemove(id: string): Promise<number> {
      await t.client.tasks.Kill({ container_id: id, signal: 9 });
      await t.client.tasks.Wait({ container_id: id });
      return removeContainer(t.client, id);
    }

    it('the same pid runs on; exec, pause, metrics, kill and delete work', async () => {
      const id = await startContainer(t.client, image, ['sleep', '1000']);
      const { pid } = await process_(id);
      await t.restart(how, () => {
        assert.ok(existsSync(`/proc/${pid}`), 'it runs without the daemon');
        return Promise.resolve();
      });
      const after = await process_(id);
      assert.deepEqual([after.status, after.pid], [STATUS.RUNNING, pid]);
      assert.deepEqual(
        (await t.client.tasks.List({})).tasks.map((task) => [task.id, task.pid]),
        [[id, pid]],
      );
      assert.equal((await exec(t.client, id, ['echo', 'alive'])).stdout, 'alive\n');
      await t.client.tasks.Pause({ container_id: id });
      await t.client.tasks.Resume({ container_id: id });
      assert.equal((await t.client.tasks.Metrics({ filters: [`id==${id}`] })).metrics.length, 1);
      assert.equal(await killAndRemove(id), 137);
    });

    it('what ends while it is down keeps its exit status', async () => {
      const id = await startContainer(t.client, image, OBEDIENT);
      const { pid } = await process_(id);
      await sleep(200);
      await t.restart(how, async () => {
        process.kill(pid, 'SIGTERM');
        await eventually('it ended', () => !existsSync(`/proc/${pid}`));
      });
      await eventually('it is reported', async () => (await process_(id)).status === STATUS.STOPPED);
      const after = await process_(id);
      assert.equal(after.exit_status, 7);
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 7);
      const late = t.client.tasks
        .Exec({ container_id: id, exec_id: 'late', spec: json(PROCESS_URL, processSpec(['true'])) })
        .then(() => t.client.tasks.Start({ container_id: id, exec_id: 'late' }));
      await assert.rejects(late);
      assert.equal(await removeContainer(t.client, id), 7);
      await fails(t.client.tasks.Get({ container_id: id }), 'not found');
    });

    it('output to a client, to a file and to a terminal goes on, and no line is lost', async () => {
      const directory = mkdtempSync('/tmp/davit-log-');
      const file = `${directory}/log`;
      const piped = await createContainer(t.client, image, COUNTING);
      const logged = await createContainer(t.client, image, COUNTING);
      const shown = await createContainer(t.client, image, COUNTING, { terminal: true });
      const pipes = createStdio();
      const terminal = createStdio({ terminal: true });
      const outputs = [pipes.openOutput('stdout'), pipes.openOutput('stderr'), terminal.openOutput('stdout')] as const;
      await createTask(t.client, piped, pipes.paths);
      await createTask(t.client, logged, { stdout: `file://${file}`, stderr: `file://${file}` });
      await createTask(t.client, shown, terminal.paths, true);
      for (const container_id of [piped, logged, shown]) await t.client.tasks.Start({ container_id });
      await outputs[0].waitFor(/line 20\n/);
      await t.restart(how, () => sleep(300));
      const lines = (): number => readFileSync(file, 'utf8').split('\n').length;
      const seen = [outputs[0].text.length, outputs[2].text.length, lines()];
      await sleep(300);
      assert.ok(
        outputs[0].text.length > (seen[0] ?? 0) && outputs[2].text.length > (seen[1] ?? 0) && lines() > (seen[2] ?? 0),
      );
      for (const id of [piped, logged, shown]) await killAndRemove(id);
      await Promise.all([outputs[0].ended, outputs[2].ended]);
      for (const text of [outputs[0].text, outputs[2].text, readFileSync(file, 'utf8')]) assertContiguous(text);
      for (const output of outputs) output.close();
      for (const stdio of [pipes, terminal]) stdio.remove();
      rmSync(directory, { recursive: true });
    });

    it('standard input works on', async () => {
      const id = await createContainer(t.client, image, ['cat']);
      const stdio = createStdio({ stdin: true });
      const output = stdio.openOutput('stdout');
      const errors = stdio.openOutput('stderr');
      await createTask(t.client, id, stdio.paths);
      await t.client.tasks.Start({ container_id: id });
      const input = stdio.openInput();
      input.write('before\n');
      await output.waitFor(/before/);
      await t.restart(how);
      input.write('after\n');
      await output.waitFor(/after/);
      input.close();
      await t.client.tasks.CloseIO({ container_id: id, stdin: true });
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 0);
      await removeContainer(t.client, id);
      output.close();
      errors.close();
      stdio.remove();
    });

    it('a created task can still be started, a paused one resumed, an exec waited for', async () => {
      const created = await createContainer(t.client, image, ['sh', '-c', 'exit 4']);
      await createTask(t.client, created);
      const paused = await startContainer(t.client, image, ['sleep', '1000']);
      const execed = await startContainer(t.client, image, ['sleep', '1000']);
      const spec = json(PROCESS_URL, processSpec(['sh', '-c', 'trap "exit 6" TERM; while :; do usleep 20000; done']));
      await t.client.tasks.Exec({ container_id: execed, exec_id: 'e', spec });
      const { pid } = await t.client.tasks.Start({ container_id: execed, exec_id: 'e' });
      await t.client.tasks.Pause({ container_id: paused });
      await sleep(100);
      await t.restart(how);
      assert.equal((await process_(created)).status, STATUS.CREATED);
      const waiting = t.client.tasks.Wait({ container_id: created });
      await t.client.tasks.Start({ container_id: created });
      assert.equal((await waiting).exit_status, 4);
      await removeContainer(t.client, created);
      assert.equal((await process_(paused)).status, STATUS.PAUSED);
      await t.client.tasks.Resume({ container_id: paused });
      await killAndRemove(paused);
      assert.deepEqual(
        [(await process_(execed, 'e')).status, (await process_(execed, 'e')).pid],
        [STATUS.RUNNING, pid],
      );
      await t.client.tasks.Kill({ container_id: execed, exec_id: 'e', signal: 15 });
      assert.equal((await t.client.tasks.Wait({ container_id: execed, exec_id: 'e' })).exit_status, 6);
      assert.equal((await t.client.tasks.DeleteProcess({ container_id: execed, exec_id: 'e' })).exit_status, 6);
      await killAndRemove(execed);
    });

    it('images, content, snapshots, leases and labels are as they were', async () => {
      await t.client.leases.Create({ id: 'kept', labels: { color: 'red' } });
      await t.client.images.Update({
        image: {
          name: image.name,
          labels: { kept: 'yes' },
          target: {
            media_type: image.manifest.mediaType,
            digest: image.manifest.digest,
            size: String(image.manifest.size),
          },
        },
        update_mask: { paths: ['labels.kept'] },
      });
      const uuid = (await t.client.introspection.Server({})).uuid;
      await t.restart(how);
      assert.equal((await t.client.introspection.Server({})).uuid, uuid);
      assert.equal((await t.client.images.Get({ name: image.name })).image?.labels['kept'], 'yes');
      assert.deepEqual((await t.client.leases.List({})).leases[0]?.labels, { color: 'red' });
      for (const digest of image.blobs.keys()) await t.client.content.Info({ digest });
      await t.client.leases.Delete({ id: 'kept' });
    });

    it('a second daemon on the same folders is refused', async () => {
      if (t.target !== 'davit') return;
      const { spawnSync } = await import('node:child_process');
      const { REPOSITORY } = await import('../harness/target.ts');
      const args = [
        '--address',
        `${t.daemon.directory}/other.sock`,
        '--root',
        t.daemon.root,
        '--state',
        t.daemon.state,
      ];
      const second = spawnSync(`${REPOSITORY}/bin/davitd`, args, { encoding: 'utf8', timeout: 20_000 });
      assert.notEqual(second.status, 0);
      assert.match(second.stderr + second.stdout, /in use|locked|another|running/i);
      await t.client.version.Version({});
    });
  });
}
