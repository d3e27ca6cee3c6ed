// Shims that died or do not answer must not keep the others, or the daemon, waiting.
import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { exec, removeContainer, startContainer, STATUS } from '../harness/container.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';
import { parentOf } from '../harness/procfs.ts';
import { putImage } from '../harness/store.ts';

/** The daemon waits for no shim before it serves; this is what a busy machine takes. */
const READY_MS = 5000;
const OTHERS = 5;

describe('a silent or dead shim at start', () => {
  const t = useDaemon({ config: '[timeouts]\n"io.containerd.timeout.shim.load" = "6s"\n' });
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  const sleeper = (): Promise<string> => startContainer(t.client, image, ['sleep', '1000']);
  const pidOf = async (id: string): Promise<number> =>
    present((await t.client.tasks.Get({ container_id: id })).process).pid;
  const status = async (id: string): Promise<number> =>
    present((await t.client.tasks.Get({ container_id: id })).process).status;
  async function end(id: string): Promise<void> {
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
  }
  /** What the daemon said since it was last started. */
  const logged = (from: number): string => t.daemon.log().slice(from);

  it('the others are there at once, and it is named', async function () {
    davitOnly(this, t.target, 'containerd 1.6 waits for each shim');
    const others: string[] = [];
    while (others.length < OTHERS) others.push(await sleeper());
    const [silent, dead] = [await sleeper(), await sleeper()];
    const pids = new Map<string, number>();
    for (const id of [...others, silent, dead]) pids.set(id, await pidOf(id));
    const shimOf = (id: string): number => parentOf(pids.get(id) ?? 0);
    const [silentShim, deadShim] = [shimOf(silent), shimOf(dead)];
    const from = t.daemon.log().length;
    try {
      const ready = await t.restart('kill', () => {
        process.kill(silentShim, 'SIGSTOP');
        process.kill(deadShim, 'SIGKILL');
        return Promise.resolve();
      });
      console.log(`      ready after ${Math.round(ready)} ms`);
      assert.ok(ready < READY_MS, `ready only after ${ready} ms`);
      for (const id of others) {
        assert.deepEqual([await status(id), await pidOf(id)], [STATUS.RUNNING, pids.get(id)]);
        assert.equal((await exec(t.client, id, ['echo', 'alive'])).stdout, 'alive\n');
      }
      const began = performance.now();
      const listed = (await t.client.tasks.List({})).tasks.map(({ id }) => id).sort();
      assert.deepEqual(listed, [...others].sort());
      assert.ok(performance.now() - began < READY_MS, 'a list waits for the silent one no longer than for its state');
      await fails(t.client.tasks.Get({ container_id: silent }), 'deadline exceeded');

      await eventually('the dead one is cleaned up', () => !existsSync(`/proc/${pids.get(dead) ?? 0}`));
      await eventually('it is no task any more', () =>
        t.client.tasks.Get({ container_id: dead }).then(
          () => false,
          () => true,
        ),
      );
      await fails(t.client.tasks.Get({ container_id: dead }), 'not found');
      await eventually('both are named', () => {
        const lines = logged(from).split('\n');
        return [silent, dead].every((id) => lines.some((line) => line.includes(id) && /shim/.test(line)));
      });
      await eventually('the daemon tells what became of each', async () => {
        const { recovery, warnings } = await t.client.daemon.Info({});
        const outcomes = new Map(present(recovery).findings.map(({ id, outcome }) => [id, outcome]));
        return (
          others.every((id) => outcomes.get(id) === 'reconnected') &&
          outcomes.get(silent) === 'silent' &&
          outcomes.get(dead) === 'lost' &&
          warnings.some(({ problem }) => problem.includes(silent))
        );
      });
    } finally {
      process.kill(silentShim, 'SIGCONT');
    }
    await eventually('it answers again', () =>
      status(silent).then(
        (found) => found === STATUS.RUNNING,
        () => false,
      ),
    );
    assert.equal(await pidOf(silent), pids.get(silent));
    assert.equal((await exec(t.client, silent, ['echo', 'back'])).stdout, 'back\n');
    for (const id of [...others, silent]) await end(id);
    await t.client.containers.Delete({ id: dead });
    await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: dead });
  });

  it('a shim that dies while the daemon runs is cleaned up and its end is told', async function () {
    davitOnly(this, t.target, 'containerd 1.6 leaves the container running');
    const id = await sleeper();
    const pid = await pidOf(id);
    const waiting = t.client.tasks.Wait({ container_id: id });
    process.kill(parentOf(pid), 'SIGKILL');
    assert.equal((await waiting).exit_status, 137);
    await eventually('its process has ended', () => !existsSync(`/proc/${pid}`));
    await eventually('it is no task any more', () =>
      t.client.tasks.Get({ container_id: id }).then(
        () => false,
        () => true,
      ),
    );
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: id });
  });

  it('bundles that are damaged, or whose socket is a stranger, cost nobody else anything', async function () {
    davitOnly(this, t.target, 'the bundles are its own');
    const good = await sleeper();
    const namespace = t.client.namespace;
    const bundle = (id: string, program: string | undefined, files: Readonly<Record<string, string>>): string => {
      const folder = path.join(t.daemon.state, 'tasks', namespace, id);
      mkdirSync(path.join(folder, 'rootfs'), { recursive: true });
      for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
      if (program !== undefined) symlinkSync(program, path.join(folder, 'shim'));
      return folder;
    };
    const shim = readlinkSync(path.join(t.daemon.state, 'tasks', namespace, good, 'shim'));
    const connections: Socket[] = [];
    const mute: Server = createServer((socket) => connections.push(socket));
    const address = path.join(t.daemon.directory, 'mute.sock');
    await new Promise<void>((resolve) => mute.listen(address, resolve));
    const from = t.daemon.log().length;
    let mutes: string[] = [];
    let broken: string[] = [];
    try {
      const ready = await t.restart('kill', () => {
        const endpoint = JSON.stringify({ version: 2, address: `unix://${address}`, protocol: 'ttrpc' });
        mutes = ['mute-1', 'mute-2', 'mute-3'].map((id) =>
          bundle(id, shim, { 'bootstrap.json': endpoint, 'config.json': '{}' }),
        );
        broken = [
          bundle('empty', undefined, {}),
          bundle('half', shim, { 'bootstrap.json': '{"version":2,"addr' }),
          bundle('gone', '/nonexistent/containerd-shim-gone-v1', { 'bootstrap.json': 'unix:///nowhere' }),
          bundle('cut', undefined, { 'config.json': '{"ociVer' }),
          bundle('nothing', shim, { address: '' }),
        ];
        return Promise.resolve();
      });
      assert.ok(ready < READY_MS, `ready only after ${ready} ms`);
      assert.equal((await exec(t.client, good, ['echo', 'alive'])).stdout, 'alive\n');
      await eventually('damaged bundles are gone', () => broken.every((folder) => !existsSync(folder)));
      await eventually('the silent ones are named', () =>
        ['mute-1', 'mute-2', 'mute-3'].every((id) => logged(from).includes(id)),
      );
    } finally {
      for (const socket of connections) socket.destroy();
      mute.close();
    }
    await eventually('what went silent for ever is cleaned up when its socket closes', () =>
      mutes.every((folder) => !existsSync(folder)),
    );
    for (const folder of [...mutes, ...broken]) rmSync(folder, { recursive: true, force: true });
    await end(good);
  });
});
