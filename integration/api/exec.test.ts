// Further processes of a task.
import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { PROCESS_URL, unpackMessage } from '../../client/any.ts';
import { createContainer, createTask, exec, json, startContainer, STATUS, uniqueId } from '../harness/container.ts';
import { removeTask } from '../harness/cleanup.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { processSpec } from '../harness/spec.ts';
import { putImage } from '../harness/store.ts';

const SIGKILL = 9;

describe('exec', () => {
  const t = useDaemon();
  const image = busyboxImage();
  let id = '';

  before(async () => {
    await putImage(t.client, image);
    id = await startContainer(t.client, image, ['sleep', '1000']);
  });

  const add = (exec_id: string, args: readonly string[], container_id = id) =>
    t.client.tasks.Exec({ container_id, exec_id, spec: json(PROCESS_URL, processSpec(args)) });

  it('runs in the container and gives output and status', async () => {
    const { status, stdout, stderr } = await exec(t.client, id, [
      'sh',
      '-c',
      'echo out; echo err >&2; hostname >/dev/null; exit 4',
    ]);
    assert.deepEqual([status, stdout, stderr], [4, 'out\n', 'err\n']);
  });

  it('honours directory, environment and user', async () => {
    const { stdout } = await exec(t.client, id, ['sh', '-c', 'pwd; echo $MINE; id -u; id -g; id -G'], {
      cwd: '/tmp',
      env: ['MINE=yes'],
      user: { uid: 1000, gid: 1000, additionalGids: [2000] },
    });
    assert.deepEqual(stdout.trim().split('\n'), ['/tmp', 'yes', '1000', '1000', '1000 2000']);
  });

  it('has the namespaces, cgroup and root of the container', async () => {
    const inside = await exec(t.client, id, [
      'sh',
      '-c',
      'for n in pid net mnt ipc uts; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done',
    ]);
    const links = inside.stdout.trim().split('\n');
    for (let index = 0; index < links.length; index += 2) assert.equal(links[index], links[index + 1]);
    const { stdout } = await exec(t.client, id, ['cat', '/proc/self/cgroup']);
    assert.match(stdout, new RegExp(`/${t.client.namespace}/${id}|/$`, 'm'));
  });

  it('leaves no descriptors of the daemon or shim open in the process', async () => {
    const { stdout } = await exec(t.client, id, ['sh', '-c', 'ls /proc/self/fd']);
    assert.deepEqual(stdout.trim().split('\n'), ['0', '1', '2', '3'], 'three of its own, and the folder that ls reads');
  });

  it('goes from created over running to stopped', async () => {
    const exec_id = uniqueId('e');
    await add(exec_id, ['sleep', '1000']);
    const created = present((await t.client.tasks.Get({ container_id: id, exec_id })).process);
    assert.deepEqual([created.status, created.id], [STATUS.CREATED, exec_id]);
    const { pid } = await t.client.tasks.Start({ container_id: id, exec_id });
    assert.ok(existsSync(`/proc/${pid}`));
    const running = present((await t.client.tasks.Get({ container_id: id, exec_id })).process);
    assert.deepEqual([running.status, running.pid], [STATUS.RUNNING, pid]);
    await assert.rejects(
      t.client.tasks.DeleteProcess({ container_id: id, exec_id }),
      /cannot delete a running process/,
    );
    await t.client.tasks.Kill({ container_id: id, exec_id, signal: SIGKILL });
    const { exit_status } = await t.client.tasks.Wait({ container_id: id, exec_id });
    assert.equal(exit_status, 137);
    const { processes } = await t.client.tasks.ListPids({ container_id: id });
    assert.ok(!processes.some((process) => process.pid === pid));
    const deleted = await t.client.tasks.DeleteProcess({ container_id: id, exec_id });
    assert.deepEqual([deleted.exit_status, deleted.pid, deleted.id], [137, pid, exec_id]);
    await fails(t.client.tasks.DeleteProcess({ container_id: id, exec_id }), 'not found');
    await fails(t.client.tasks.Get({ container_id: id, exec_id }), 'not found');
  });

  it('is named in the list of processes', async () => {
    const exec_id = uniqueId('e');
    await add(exec_id, ['sleep', '1000']);
    const { pid } = await t.client.tasks.Start({ container_id: id, exec_id });
    const { processes } = await t.client.tasks.ListPids({ container_id: id });
    const info = present(present(processes.find((process) => process.pid === pid)).info);
    assert.equal(info.type_url, 'containerd.runc.v1.ProcessDetails');
    assert.deepEqual(unpackMessage(info), { exec_id });
    await t.client.tasks.Kill({ container_id: id, exec_id, signal: SIGKILL });
    await t.client.tasks.Wait({ container_id: id, exec_id });
    await t.client.tasks.DeleteProcess({ container_id: id, exec_id });
  });

  it('refuses duplicates and bad ids', async () => {
    const exec_id = uniqueId('e');
    await add(exec_id, ['true']);
    await fails(add(exec_id, ['true']), 'already exists', new RegExp(`id ${exec_id}`));
    await t.client.tasks.DeleteProcess({ container_id: id, exec_id });
    await fails(add('bad id', ['true']), 'invalid argument');
    await fails(add('', ['true']), 'invalid argument');
  });

  it('names a missing binary, and can be deleted', async () => {
    const exec_id = uniqueId('e');
    await add(exec_id, ['/no/such/binary']);
    await assert.rejects(t.client.tasks.Start({ container_id: id, exec_id }), /no such file or directory/);
    await t.client.tasks.DeleteProcess({ container_id: id, exec_id }).catch(() => undefined);
    await fails(t.client.tasks.Get({ container_id: id, exec_id }), 'not found');
  });

  it('gives the status of a process that ends before anybody waits', async () => {
    const exec_id = uniqueId('e');
    await add(exec_id, ['sh', '-c', 'exit 5']);
    await t.client.tasks.Start({ container_id: id, exec_id });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await t.client.tasks.Wait({ container_id: id, exec_id })).exit_status, 5);
    assert.equal((await t.client.tasks.DeleteProcess({ container_id: id, exec_id })).exit_status, 5);
  });

  it('is refused when the task is not running', async () => {
    const ended = await startContainer(t.client, image, ['true']);
    await t.client.tasks.Wait({ container_id: ended });
    await assert.rejects(
      add('late', ['true'], ended).then(() => t.client.tasks.Start({ container_id: ended, exec_id: 'late' })),
      /not running|stopped|cannot/,
    );
    await removeTask(t.client, ended);
    const created = await createContainer(t.client, image, ['sleep', '1000']);
    await createTask(t.client, created);
    await t.client.tasks.Kill({ container_id: created, signal: SIGKILL });
    await eventually(
      'it stopped',
      async () => (await t.client.tasks.Get({ container_id: created })).process?.status === STATUS.STOPPED,
    );
    await removeTask(t.client, created);
  });

  it('runs many at once', async () => {
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, index) => exec(t.client, id, ['sh', '-c', `echo ${index}; exit ${index}`])),
    );
    for (const [index, { status, stdout }] of results.entries())
      assert.deepEqual([status, stdout], [index, `${index}\n`]);
  });
});
