// After much work, daemon and shim are back where they were: descriptors counted, memory weighed.
//
// SOAK_COUNT sets how much work (default 100).
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { removeTask } from '../harness/cleanup.ts';
import { createContainer, createTask, exec, run, startContainer } from '../harness/container.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { memoryOf, parentOf } from '../harness/procfs.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';
import { REPOSITORY } from '../harness/target.ts';

const COUNT = Number(process.env['SOAK_COUNT'] ?? 100);
/** KiB that a process may have gained. A leak of some hundred bytes per exec in a shim shows at a thousand. */
const SHIM_SLACK = 256;
const DAEMON_SLACK = 10 * 1024;
const DESCRIPTOR_SLACK = 2;
/** What a process takes once and keeps is not to be counted. */
const WARM_UP = 50;

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

describe(`soak: ${COUNT} of each`, function () {
  this.timeout(60_000 + COUNT * 2000);
  // With a heap of just the size that it needs: V8 lets one of 13 MiB grow to 50 before it looks what is still in use.
  const t = useDaemon({ environment: { NODE_OPTIONS: '--max-old-space-size=28' } });
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  /** Asserts that `work` leaves no descriptor open in the process. */
  async function keepsDescriptors(pid: number, work: () => Promise<void>): Promise<void> {
    const had = descriptors(pid);
    await work();
    await eventually(
      `process ${pid} has ${had} descriptors again, it has ${descriptors(pid)}`,
      () => descriptors(pid) <= had + DESCRIPTOR_SLACK,
    );
  }

  /** Asserts that the process has after `work` the descriptors and the memory that it had before. */
  async function keeps(what: string, pid: number, slack: number, work: () => Promise<void>): Promise<void> {
    const had = [descriptors(pid), memoryOf(pid).private];
    await keepsDescriptors(pid, work);
    const has = [descriptors(pid), memoryOf(pid).private];
    console.log(`      ${what}: ${had[0]} descriptors, ${had[1]} KiB private before; ${has[0]}, ${has[1]} KiB after`);
    if (t.target === 'davit') assert.ok((has[1] ?? 0) <= (had[1] ?? 0) + slack, `memory of ${what}`);
  }
  const daemonKeeps = (work: () => Promise<void>): Promise<void> =>
    keeps('daemon', t.daemon.pid ?? process.pid, DAEMON_SLACK, work);

  const shimOf = async (id: string): Promise<number> =>
    parentOf((await t.client.tasks.Get({ container_id: id })).process?.pid ?? 0);

  async function repeat(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
    for (let index = 0; index < count; index += 1) await work(index);
  }

  it(`${COUNT} execs`, async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000000']);
    const one = async (index: number): Promise<void> =>
      assert.equal((await exec(t.client, id, ['sh', '-c', `exit ${index % 100}`])).status, index % 100);
    await repeat(WARM_UP, one);
    await daemonKeeps(async () => keeps('shim', await shimOf(id), SHIM_SLACK, () => repeat(COUNT, one)));
    await removeTask(t.client, id);
  });

  it(`${COUNT} clients that attach and go`, async () => {
    const id = await createContainer(t.client, image, ['sh', '-c', 'while :; do echo tick; usleep 10000; done']);
    const stdio = createStdio();
    const errors = stdio.openOutput('stderr');
    let output = stdio.openOutput('stdout');
    const one = async (): Promise<void> => {
      await output.waitFor(/tick/);
      output.close();
      output = stdio.openOutput('stdout');
    };
    await createTask(t.client, id, stdio.paths);
    await t.client.tasks.Start({ container_id: id });
    await repeat(WARM_UP, one);
    await daemonKeeps(async () => keeps('shim', await shimOf(id), SHIM_SLACK, () => repeat(COUNT, one)));
    output.close();
    errors.close();
    await removeTask(t.client, id);
    stdio.remove();
  });

  it(`${COUNT} containers`, async () => {
    const one = async (index: number): Promise<void> => {
      const { stdout, status } = await run(t.client, image, ['sh', '-c', `echo ${index}; exit ${index % 100}`]);
      assert.deepEqual([stdout, status], [`${index}\n`, index % 100]);
    };
    await repeat(WARM_UP, one);
    await daemonKeeps(() => repeat(COUNT, one));
  });

  it(`${10 * COUNT} small calls`, async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000000']);
    const four = (): Promise<unknown> =>
      Promise.all([
        t.client.images.List({}),
        t.client.containers.List({}),
        t.client.tasks.List({}),
        t.client.tasks.Get({ container_id: id }),
      ]);
    await repeat(WARM_UP * 5, four);
    await daemonKeeps(async () => keeps('shim', await shimOf(id), SHIM_SLACK, () => repeat(2.5 * COUNT, four)));
    await removeTask(t.client, id);
  });

  it('clients that vanish in the middle of a write', async () => {
    const program = path.join(REPOSITORY, 'dist/integration/crash/vanishing-client.js');
    const refs = ['vanished-1', 'vanished-2', 'vanished-3'];
    await keepsDescriptors(t.daemon.pid ?? process.pid, () => {
      for (const ref of refs) {
        const { signal } = spawnSync(process.execPath, [program, t.daemon.address, t.client.namespace, ref]);
        assert.equal(signal, 'SIGKILL');
      }
      return Promise.resolve();
    });
    for (const ref of refs) {
      await eventually(`${ref} can be aborted`, () =>
        t.client.content.Abort({ ref }).then(
          () => true,
          () => false,
        ),
      );
    }
  });
});
