// Tasks: their states, what each call answers in each of them, and what the kernel sees.
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { unpackMessage } from '../../client/any.ts';
import {
  createContainer,
  createTask,
  json,
  removeContainer,
  run,
  startContainer,
  STATUS,
  uniqueId,
} from '../harness/container.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { putImage } from '../harness/store.ts';

const SIGTERM = 15;
const SIGKILL = 9;
const SLEEP = ['sleep', '1000'];
/** Ends at once with status 7 when told to end. */
const OBEDIENT = ['sh', '-c', 'trap "exit 7" TERM; while :; do usleep 20000; done'];
const RESOURCES = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';

/** A file of the container's cgroup: by its v1 controller and name, or by its v2 name. */
function cgroupFile(namespace: string, id: string, v1: string, v2: string): string {
  const candidates = [
    `/sys/fs/cgroup/${v1.replace('/', `/${namespace}/${id}/`)}`,
    `/sys/fs/cgroup/${namespace}/${id}/${v2}`,
  ];
  return readFileSync(present(candidates.find(existsSync), v1), 'utf8').trim();
}

describe('tasks', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  const status = async (id: string, exec_id = '') =>
    present((await t.client.tasks.Get({ container_id: id, exec_id })).process);
  const stopped = (id: string) => eventually(`${id} stops`, async () => (await status(id)).status === STATUS.STOPPED);
  async function finish(id: string): Promise<number> {
    await t.client.tasks.Kill({ container_id: id, signal: SIGKILL }).catch(() => undefined);
    await stopped(id);
    return removeContainer(t.client, id);
  }

  it('goes from created over running to stopped', async () => {
    const id = await createContainer(t.client, image, OBEDIENT);
    const pid = await createTask(t.client, id);
    assert.ok(existsSync(`/proc/${pid}`), 'a created task has its process');
    const created = await status(id);
    assert.deepEqual([created.status, created.pid, created.id], [STATUS.CREATED, pid, id]);
    const started = await t.client.tasks.Start({ container_id: id });
    assert.equal(started.pid, pid);
    assert.equal((await status(id)).status, STATUS.RUNNING);
    const waiting = t.client.tasks.Wait({ container_id: id });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await t.client.tasks.Kill({ container_id: id, signal: SIGTERM });
    const exit = await waiting;
    assert.equal(exit.exit_status, 7);
    const ended = await status(id);
    assert.deepEqual([ended.status, ended.exit_status, ended.pid], [STATUS.STOPPED, 7, pid]);
    assert.deepEqual(ended.exited_at, exit.exited_at);
    assert.ok(Math.abs(Number(exit.exited_at?.seconds) - Date.now() / 1000) < 60);
    const again = await t.client.tasks.Wait({ container_id: id });
    assert.deepEqual(again, exit, 'waiting for what has ended answers at once');
    const deleted = await t.client.tasks.Delete({ container_id: id });
    assert.deepEqual([deleted.exit_status, deleted.pid], [7, pid]);
    await fails(t.client.tasks.Get({ container_id: id }), 'not found', /not found$/);
    await fails(t.client.tasks.Delete({ container_id: id }), 'not found');
  });

  it('answers not found for a task that does not exist', async () => {
    const container_id = 'nothing';
    const { tasks } = t.client;
    for (const call of [
      () => tasks.Get({ container_id }),
      () => tasks.Start({ container_id }),
      () => tasks.Delete({ container_id }),
      () => tasks.Kill({ container_id, signal: SIGTERM }),
      () => tasks.Exec({ container_id, exec_id: 'e', spec: json('x', {}) }),
      () => tasks.Pause({ container_id }),
      () => tasks.Resume({ container_id }),
      () => tasks.ListPids({ container_id }),
      () => tasks.Wait({ container_id }),
      () => tasks.CloseIO({ container_id, stdin: true }),
      () => tasks.ResizePty({ container_id, width: 1, height: 1 }),
      () => tasks.Update({ container_id, resources: json(RESOURCES, {}) }),
    ]) {
      await fails(call(), 'not found', /nothing.*not found/);
    }
    await fails(tasks.Create({ container_id }), 'not found', /container "nothing".*not found/);
  });

  it('refuses a second task, and keeps the first', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    await fails(createTask(t.client, id), 'already exists', /already exists/);
    assert.equal((await status(id)).status, STATUS.RUNNING);
    await fails(t.client.tasks.Start({ container_id: id }), 'unknown', /cannot start a running|running/).catch(
      async () => {
        await fails(t.client.tasks.Start({ container_id: id }), 'failed precondition');
      },
    );
    await finish(id);
  });

  it('refuses to delete a running task', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    await fails(t.client.tasks.Delete({ container_id: id }), 'unknown', /cannot delete a running process/).catch(
      async () => {
        await fails(
          t.client.tasks.Delete({ container_id: id }),
          'failed precondition',
          /cannot delete a running process/,
        );
      },
    );
    assert.equal((await status(id)).status, STATUS.RUNNING);
    await finish(id);
  });

  it('deletes a task that was created and never started', async () => {
    const id = await createContainer(t.client, image, SLEEP);
    const pid = await createTask(t.client, id);
    await t.client.tasks.Delete({ container_id: id });
    await eventually('its process is gone', () => !existsSync(`/proc/${pid}`));
    await createTask(t.client, id);
    await t.client.tasks.Kill({ container_id: id, signal: SIGKILL });
    await stopped(id);
    await removeContainer(t.client, id);
  });

  it('kills; what has ended cannot be killed again', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    await t.client.tasks.Kill({ container_id: id, signal: SIGKILL });
    await stopped(id);
    assert.equal((await status(id)).exit_status, 128 + SIGKILL);
    await fails(t.client.tasks.Kill({ container_id: id, signal: SIGKILL }), 'not found', /process already finished/);
    assert.equal(await removeContainer(t.client, id), 137);
  });

  it('kills all processes of the container', async () => {
    const id = await startContainer(t.client, image, ['sh', '-c', 'sleep 1000 & sleep 1000 & wait']);
    await eventually(
      'all run',
      async () => (await t.client.tasks.ListPids({ container_id: id })).processes.length === 3,
    );
    const { processes } = await t.client.tasks.ListPids({ container_id: id });
    await t.client.tasks.Kill({ container_id: id, signal: SIGKILL, all: true });
    await stopped(id);
    await eventually('all are gone', () => processes.every(({ pid }) => !existsSync(`/proc/${pid}`)));
    await removeContainer(t.client, id);
  });

  it('ends every process when the first one ends', async () => {
    const id = await startContainer(t.client, image, ['sh', '-c', 'sleep 1000 & sleep 1000 & usleep 200000; exit 3']);
    const { processes } = await t.client.tasks.ListPids({ container_id: id });
    const waited = await t.client.tasks.Wait({ container_id: id });
    assert.equal(waited.exit_status, 3);
    await eventually('all are gone', () => processes.every(({ pid }) => !existsSync(`/proc/${pid}`)));
    assert.equal(await removeContainer(t.client, id), 3);
  });

  it('pauses and resumes', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    await t.client.tasks.Pause({ container_id: id });
    assert.equal((await status(id)).status, STATUS.PAUSED);
    await assert.rejects(t.client.tasks.Delete({ container_id: id }), /cannot delete a paused process/);
    const spec = json('types.containerd.io/opencontainers/runtime-spec/1/Process', { args: ['true'], cwd: '/' });
    await assert.rejects(
      t.client.tasks
        .Exec({ container_id: id, exec_id: 'paused', spec })
        .then(() => t.client.tasks.Start({ container_id: id, exec_id: 'paused' })),
      /paused|not running|cannot/,
    );
    await t.client.tasks.Resume({ container_id: id });
    assert.equal((await status(id)).status, STATUS.RUNNING);
    await t.client.tasks.DeleteProcess({ container_id: id, exec_id: 'paused' }).catch(() => undefined);
    await finish(id);
  });

  it('lists tasks of the namespace only', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    const { tasks } = await t.client.tasks.List({});
    assert.ok(tasks.some((task) => task.id === id && task.status === STATUS.RUNNING && task.pid > 0));
    assert.deepEqual((await t.inNewNamespace().tasks.List({})).tasks, []);
    await finish(id);
  });

  it('lists processes', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    const { processes } = await t.client.tasks.ListPids({ container_id: id });
    assert.deepEqual(
      processes.map(({ pid }) => pid),
      [(await status(id)).pid],
    );
    await finish(id);
  });

  it('measures', async () => {
    const id = await startContainer(t.client, image, SLEEP);
    const { metrics } = await t.client.tasks.Metrics({ filters: [`id==${id}`] });
    assert.equal(metrics.length, 1);
    const metric = present(metrics[0]);
    assert.equal(metric.id, id);
    assert.ok(Number(metric.timestamp?.seconds) > 1000);
    assert.match(present(metric.data).type_url, /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
    const data = present(unpackMessage(present(metric.data))) as { pids: { current: string }; memory: object | null };
    assert.equal(data.pids.current, '1');
    assert.notEqual(data.memory, null);
    const all = await t.client.tasks.Metrics({});
    assert.ok(all.metrics.some((other) => other.id === id));
    await finish(id);
  });

  it('sets limits, and changes them while running', async () => {
    const memory = { limit: 64 * 1024 * 1024 };
    const id = await createContainer(t.client, image, SLEEP, {
      linux: { resources: { memory, pids: { limit: 50 }, cpu: { quota: 50000, period: 100000 } } },
    });
    await createTask(t.client, id);
    await t.client.tasks.Start({ container_id: id });
    const read = (v1: string, v2: string): string => cgroupFile(t.client.namespace, id, v1, v2);
    assert.equal(read('memory/memory.limit_in_bytes', 'memory.max'), String(64 * 1024 * 1024));
    assert.equal(read('pids/pids.max', 'pids.max'), '50');
    assert.match(read('cpu/cpu.cfs_quota_us', 'cpu.max'), /^50000/);
    await t.client.tasks.Update({
      container_id: id,
      resources: json(RESOURCES, { memory: { limit: 128 * 1024 * 1024 }, pids: { limit: 70 } }),
    });
    assert.equal(read('memory/memory.limit_in_bytes', 'memory.max'), String(128 * 1024 * 1024));
    assert.equal(read('pids/pids.max', 'pids.max'), '70');
    await finish(id);
  });

  it('tells that the memory ran out', async () => {
    const script = 'x=1; while :; do x="$x$x"; done';
    const result = await run(t.client, image, ['sh', '-c', script], {
      linux: { resources: { memory: { limit: 16 * 1024 * 1024 } } },
    });
    assert.equal(result.status, 137);
  });

  it('names a missing binary and leaves nothing', async () => {
    const id = await createContainer(t.client, image, ['/no/such/binary']);
    const attempt = createTask(t.client, id).then(() => t.client.tasks.Start({ container_id: id }));
    await assert.rejects(attempt, /no such file or directory/);
    await t.client.tasks.Delete({ container_id: id }).catch(() => undefined);
    await fails(t.client.tasks.Get({ container_id: id }), 'not found');
  });

  it('refuses a spec that is none, and leaves nothing', async () => {
    for (const overrides of [{ process: null }, { root: null }, { linux: { namespaces: [{ type: 'nonsense' }] } }]) {
      const id = await createContainer(t.client, image, SLEEP, { overrides });
      await assert.rejects(createTask(t.client, id));
      await fails(t.client.tasks.Get({ container_id: id }), 'not found');
    }
    const id = uniqueId();
    const spec = {
      type_url: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
      value: Buffer.from('{"ociVersion": '),
    };
    await t.client.containers.Create({ container: { id, runtime: { name: 'io.containerd.runc.v2' }, spec } });
    await assert.rejects(t.client.tasks.Create({ container_id: id }));
    await t.client.containers.Delete({ id });
  });

  it('refuses an unknown runtime', async () => {
    const id = await createContainer(t.client, image, SLEEP, { runtime: 'io.containerd.nothing.v1' });
    await assert.rejects(createTask(t.client, id), /nothing/);
  });
});
