// After much work, daemon and shim are back where they were: descriptors counted, memory weighed.
//
// SOAK_COUNT sets how much work (default 100).
import { strict as assert } from 'node:assert';
import { setMaxListeners } from 'node:events';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
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
/** KiB that a shim may have gained: a leak of a few hundred bytes per exec would show at a thousand. */
const SHIM_SLACK = 256;
const DESCRIPTOR_SLACK = 2;

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

describe(`soak: ${COUNT} of each`, function () {
  this.timeout(60_000 + COUNT * 600);
  const t = useDaemon();
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

  const shimOf = async (id: string): Promise<number> =>
    parentOf((await t.client.tasks.Get({ container_id: id })).process?.pid ?? 0);

  it('execs', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    const shim = await shimOf(id);
    for (let warm = 0; warm < 10; warm += 1) await exec(t.client, id, ['true']);
    const before = memoryOf(shim).private;
    await keepsDescriptors(t.daemon.pid ?? process.pid, () =>
      keepsDescriptors(shim, async () => {
        for (let index = 0; index < COUNT; index += 1) await exec(t.client, id, ['true']);
      }),
    );
    const after = memoryOf(shim).private;
    console.log(`      shim: ${before} KiB private before, ${after} KiB after`);
    if (t.target === 'davit') assert.ok(after <= before + SHIM_SLACK);
    await removeTask(t.client, id);
  });

  it('clients that attach and go', async () => {
    const id = await createContainer(t.client, image, ['sh', '-c', 'while :; do echo tick; usleep 10000; done']);
    const stdio = createStdio();
    const errors = stdio.openOutput('stderr');
    let output = stdio.openOutput('stdout');
    await createTask(t.client, id, stdio.paths);
    await t.client.tasks.Start({ container_id: id });
    const shim = await shimOf(id);
    await keepsDescriptors(shim, async () => {
      for (let index = 0; index < COUNT; index += 1) {
        await output.waitFor(/tick/);
        output.close();
        output = stdio.openOutput('stdout');
      }
    });
    output.close();
    errors.close();
    await removeTask(t.client, id);
    stdio.remove();
  });

  it('containers', async () => {
    for (let warm = 0; warm < 5; warm += 1) await run(t.client, image, ['true']);
    await keepsDescriptors(t.daemon.pid ?? process.pid, async () => {
      for (let index = 0; index < COUNT; index += 1) {
        const { stdout, status } = await run(t.client, image, ['sh', '-c', `echo ${index}; exit ${index % 100}`]);
        assert.deepEqual([stdout, status], [`${index}\n`, index % 100]);
      }
    });
  });

  it('small calls, ten for each', async () => {
    const pid = t.daemon.pid ?? process.pid;
    const call = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        await Promise.all([
          t.client.images.List({}),
          t.client.containers.List({}),
          t.client.tasks.List({}),
          t.client.version.Version({}),
        ]);
      }
    };
    await call(COUNT);
    const before = memoryOf(pid).resident;
    await keepsDescriptors(pid, () => call(10 * COUNT));
    const after = memoryOf(pid).resident;
    console.log(`      daemon: ${before} KiB resident before, ${after} KiB after`);
    assert.ok(after < before + 30_000);
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

  it('streams that nobody reads', async () => {
    const pid = t.daemon.pid ?? process.pid;
    const latency = async (): Promise<number> => {
      const began = performance.now();
      for (let index = 0; index < 100; index += 1) await t.client.images.List({});
      return (performance.now() - began) / 100;
    };
    await latency();
    const alone = await latency();
    await keepsDescriptors(pid, async () => {
      const control = new AbortController();
      setMaxListeners(0, control.signal);
      const clients = Array.from({ length: 10 }, () => t.newConnection());
      for (const client of clients) {
        for (let index = 0; index < COUNT; index += 1) client.events.Subscribe({}, { signal: control.signal });
      }
      for (let index = 0; index < 50; index += 1)
        await t.client.events.Publish({ topic: '/soak/x', event: { type_url: 'x', value: Buffer.alloc(1000) } });
      await sleep(200);
      console.log(
        `      a call takes ${((await latency()) / alone).toFixed(1)} times as long beside ${10 * COUNT} streams`,
      );
      control.abort();
      for (const client of clients) client.close();
    });
  });
});
