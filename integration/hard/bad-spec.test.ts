// Specs and tasks that cannot work: the error names what is wrong, and nothing stays of the attempt.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'mocha';
import { PROCESS_URL, SPEC_URL } from '../../client/any.ts';
import { createContainer, createTask, json, RUNTIME, run, startContainer, uniqueId } from '../harness/container.ts';
import { fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { processSpec, runtimeSpec } from '../harness/spec.ts';
import { putBlob, putImage, WRITE } from '../harness/store.ts';

const snapshotter = 'overlayfs';

/** What config.json holds, and what the error has to say of it. */
const MALFORMED: Readonly<Record<string, string>> = {
  'no JSON': 'not json at all',
  'cut short': '{"ociVersion":"1.0.2","process":{"args":["tr',
  'an array': '[1,2,3]',
  'a number for args': '{"ociVersion":"1.0.2","process":{"args":5,"cwd":"/"},"root":{"path":"rootfs"}}',
  'no args': '{"ociVersion":"1.0.2","process":{"args":[],"cwd":"/"},"root":{"path":"rootfs"},"linux":{}}',
  'no process': '{"ociVersion":"1.0.2","root":{"path":"rootfs"},"linux":{}}',
  'a relative cwd': '{"ociVersion":"1.0.2","process":{"args":["true"],"cwd":"x"},"root":{"path":"rootfs"},"linux":{}}',
  'an unknown namespace':
    '{"ociVersion":"1.0.2","process":{"args":["true"],"cwd":"/"},"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"warp"}]}}',
  'deep nesting': `{"ociVersion":"1.0.2","a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
};

describe('bad specs and contradictory calls', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  for (const [what, text] of Object.entries(MALFORMED)) {
    it(`config.json: ${what}`, async () => {
      const id = uniqueId();
      const spec = { type_url: SPEC_URL, value: Buffer.from(text) };
      const { mounts } = await t.client.snapshots.Prepare({
        snapshotter,
        key: id,
        parent: await topOf(),
        labels: ROOTED,
      });
      await t.client.containers.Create({
        container: { id, runtime: { name: RUNTIME }, spec, snapshotter, snapshot_key: id },
      });
      const attempt = async (): Promise<void> => {
        await t.client.tasks.Create({ container_id: id, rootfs: mounts });
        await t.client.tasks.Start({ container_id: id });
      };
      const error = await attempt().then(
        () => assert.fail('it must be refused'),
        (reason: Error) => reason,
      );
      assert.ok(error.message.length > 20 && error.message.length < 4000, error.message.slice(0, 200));
      await t.client.tasks.Delete({ container_id: id }).catch(() => undefined);
      await fails(t.client.tasks.Get({ container_id: id }), 'not found');
      await t.client.containers.Delete({ id });
      await t.client.snapshots.Remove({ snapshotter, key: id });
      assert.equal((await run(t.client, image, ['true'])).status, 0, 'others go on');
    });
  }

  const topOf = async (): Promise<string> => {
    for await (const { info } of t.client.snapshots.List({ snapshotter }))
      for (const { name, kind } of info) if (kind === 3) return name;
    throw new Error('the image is not unpacked');
  };

  it('a program that is not there is named, for tasks and for execs', async () => {
    const id = await createContainer(t.client, image, ['/no/such/program']);
    const attempt = createTask(t.client, id).then(() => t.client.tasks.Start({ container_id: id }));
    await assert.rejects(attempt, /\/no\/such\/program.*no such file or directory/);
    await t.client.tasks.Delete({ container_id: id }).catch(() => undefined);
    await fails(t.client.tasks.Get({ container_id: id }), 'not found');
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter, key: id });
  });

  it('a task: twice, exec on a stopped one, delete of a running one', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    await fails(createTask(t.client, id), 'already exists');
    await fails(
      t.client.containers.Create({
        container: {
          id,
          runtime: { name: RUNTIME },
          spec: json(SPEC_URL, runtimeSpec(t.client.namespace, id, ['true'])),
        },
      }),
      'already exists',
    );
    await assert.rejects(t.client.tasks.Delete({ container_id: id }), /cannot delete a running process/);
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await assert.rejects(
      t.client.tasks
        .Exec({ container_id: id, exec_id: 'late', spec: json(PROCESS_URL, processSpec(['true'])) })
        .then(() => t.client.tasks.Start({ container_id: id, exec_id: 'late' })),
      /not running|process not running|stopped/i,
    );
    await fails(t.client.tasks.Kill({ container_id: id, signal: 9 }), 'not found', /process already finished/);
    await t.client.tasks.Delete({ container_id: id });
    await fails(t.client.tasks.Delete({ container_id: id }), 'not found');
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter, key: id });
  });

  it('content: a wrong size, a wrong digest, a gap, a second writer', async () => {
    const bytes = randomBytes(1000);
    const digest = sha256(bytes);
    const write = async (ref: string, last: { expected?: string; total?: string; offset?: string }): Promise<void> => {
      const call = t.client.content.Write();
      try {
        await call.send({ action: WRITE.WRITE, ref, offset: '0', data: bytes });
        await call.receive();
        await call.send({ action: WRITE.COMMIT, ref, offset: '1000', ...last });
        await call.receive();
      } finally {
        call.cancel();
        await t.client.content.Abort({ ref }).catch(() => undefined);
      }
    };
    await fails(write('size', { total: '999', expected: digest }), 'failed precondition', /failed size validation/);
    await fails(
      write('digest', { expected: sha256(Buffer.from('x')) }),
      'failed precondition',
      /unexpected commit digest/,
    );
    const gap = t.client.content.Write();
    await gap.send({ action: WRITE.WRITE, ref: 'gap', offset: '5', data: bytes });
    await fails(gap.receive(), 'out of range');
    const first = t.client.content.Write();
    await first.send({ action: WRITE.STAT, ref: 'one' });
    await first.receive();
    const second = t.client.content.Write();
    await second.send({ action: WRITE.STAT, ref: 'one' });
    await fails(second.receive(), 'unavailable', /one locked for/);
    first.cancel();
    await putBlob(t.client, bytes);
  });

  it('snapshots: unknown snapshotter, duplicate key, a parent with a child', async () => {
    await fails(
      t.client.snapshots.Prepare({ snapshotter: 'none', key: 'x' }),
      'invalid argument',
      /snapshotter not loaded: none/,
    );
    const parent = await topOf();
    await t.client.snapshots.Prepare({ snapshotter, key: 'child', parent, labels: ROOTED });
    await fails(t.client.snapshots.Prepare({ snapshotter, key: 'child', parent }), 'already exists');
    await fails(
      t.client.snapshots.Remove({ snapshotter, key: parent }),
      'failed precondition',
      /cannot remove snapshot with child/,
    );
    await t.client.snapshots.Remove({ snapshotter, key: 'child' });
  });
});
