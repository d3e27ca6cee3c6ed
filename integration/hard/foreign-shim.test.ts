// Debian's containerd-shim-runc-v2, given as runtime path: davitd drives it like its own.
import { strict as assert } from 'node:assert';
import { existsSync, readlinkSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { createContainer, exec, removeContainer, RUNTIME, STATUS } from '../harness/container.ts';
import { eventually, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { parentOf } from '../harness/procfs.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';

const SHIM = '/usr/bin/containerd-shim-runc-v2';
const OBEDIENT = ['sh', '-c', 'trap "exit 7" TERM; echo ready; while :; do usleep 20000; done'];

// The container's own runtime name is another: the path of the task decides. And the other way round.
for (const given of ['task', 'container'] as const) {
  describe(`runc's shim by its path, given with the ${given}`, () => {
    const t = useDaemon();
    const image = busyboxImage();

    before(() => putImage(t.client, image));

    async function start(args: readonly string[], paths: object = {}): Promise<string> {
      const id = await createContainer(t.client, image, args, { runtime: given === 'container' ? SHIM : RUNTIME });
      const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
      const runtime_path = given === 'task' ? SHIM : '';
      await t.client.tasks.Create({ container_id: id, rootfs: mounts, runtime_path, ...paths });
      await t.client.tasks.Start({ container_id: id });
      return id;
    }
    const process_ = async (id: string) => present((await t.client.tasks.Get({ container_id: id })).process);

    it('runs, execs, is killed, is deleted', async function () {
      if (given === 'container' && t.target === 'containerd') this.skip(); // 1.6 takes names only
      const stdio = createStdio();
      const outputs = [stdio.openOutput('stdout'), stdio.openOutput('stderr')] as const;
      const id = await start(OBEDIENT, stdio.paths);
      await outputs[0].waitFor(/ready/);
      const { pid, status } = await process_(id);
      assert.equal(status, STATUS.RUNNING);
      assert.equal(readlinkSync(`/proc/${parentOf(pid)}/exe`), SHIM);
      const result = await exec(t.client, id, ['sh', '-c', 'echo out; echo err >&2; exit 3']);
      assert.deepEqual(result, { status: 3, stdout: 'out\n', stderr: 'err\n' });
      await assert.rejects(exec(t.client, id, ['no-such-program']), /executable file not found/);
      await t.client.tasks.Pause({ container_id: id });
      assert.equal((await process_(id)).status, STATUS.PAUSED);
      await t.client.tasks.Resume({ container_id: id });
      await assert.rejects(t.client.tasks.Delete({ container_id: id }), /cannot delete a running process/);
      await t.client.tasks.Kill({ container_id: id, signal: 15 });
      assert.equal((await t.client.tasks.Wait({ container_id: id })).exit_status, 7);
      assert.equal((await process_(id)).exit_status, 7);
      assert.equal(await removeContainer(t.client, id), 7);
      await Promise.all(outputs.map(({ ended }) => ended));
      for (const output of outputs) output.close();
      stdio.remove();
    });

    for (const how of ['stop', 'kill'] as const) {
      it(`outlives the daemon: ${how}`, async function () {
        if (given === 'container' && t.target === 'containerd') this.skip();
        const [runs, ends] = [await start(OBEDIENT), await start(OBEDIENT)];
        const [pid, ending] = [(await process_(runs)).pid, (await process_(ends)).pid];
        await eventually('the trap is set', async () => {
          // `usleep` is there once the shell is in its loop.
          return (await t.client.tasks.ListPids({ container_id: ends })).processes.length > 1;
        });
        await t.restart(how, async () => {
          process.kill(ending, 'SIGTERM');
          await eventually('it ended', () => !existsSync(`/proc/${ending}`));
        });
        assert.deepEqual([(await process_(runs)).status, (await process_(runs)).pid], [STATUS.RUNNING, pid]);
        assert.equal((await exec(t.client, runs, ['echo', 'alive'])).stdout, 'alive\n');
        const stopped = await process_(ends);
        assert.deepEqual([stopped.status, stopped.exit_status], [STATUS.STOPPED, 7]);
        assert.equal(await removeContainer(t.client, ends), 7);
        await t.client.tasks.Kill({ container_id: runs, signal: 9 });
        assert.equal((await t.client.tasks.Wait({ container_id: runs })).exit_status, 137);
        assert.equal(await removeContainer(t.client, runs), 137);
      });
    }
  });
}
