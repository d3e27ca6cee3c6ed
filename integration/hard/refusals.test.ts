// What is refused, in containerd's own words: codes and whole texts, as its clients match them.
import { strict as assert } from 'node:assert';
import { before, describe, it } from 'mocha';
import { PROCESS_URL, SPEC_URL } from '../../client/any.ts';
import { ClientError, type ErrorKind } from '../../client/errors.ts';
import type { WriteContentRequest } from '../../proto/gen/containerd.services.content.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { createTask, json, removeContainer, RUNTIME, createContainer, startContainer } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { processSpec } from '../harness/spec.ts';
import { chainId, putImage, WRITE } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const snapshotter = 'overlayfs';
const BYTES = Buffer.from('some bytes');
const OTHER = sha256(Buffer.from('others'));
const LONG = { key: 'x'.repeat(4096) };

type Call = () => Promise<unknown>;

describe("refusals, in containerd's words", () => {
  const t = useDaemon();
  const image = busyboxImage();
  const top = chainId(image.layers.map(({ diffId }) => diffId));
  let [running, stopped] = ['', ''];

  before(async () => {
    const { client } = t;
    await putImage(client, image);
    running = await startContainer(client, image, ['sleep', '100000']);
    stopped = await startContainer(client, image, ['true']);
    await client.tasks.Wait({ container_id: stopped });
    await client.snapshots.Prepare({ snapshotter, key: 'child', parent: top, labels: ROOTED });
    await client.leases.Create({ id: 'twice' });
    await client.namespaces.Create({ namespace: { name: client.namespace } }).catch(() => undefined);
  });

  const container = (more: object) => ({
    container: { id: 'made', runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}), ...more },
  });
  async function write(...messages: Input<WriteContentRequest>[]): Promise<void> {
    const call = t.client.content.Write();
    try {
      for (const message of messages) {
        await call.send({ ref: 'refused', ...message });
        await call.receive();
      }
    } finally {
      call.cancel();
      await t.client.content.Abort({ ref: 'refused' }).catch(() => undefined);
    }
  }
  async function twoWriters(): Promise<void> {
    const first = t.client.content.Write();
    await first.send({ action: WRITE.STAT, ref: 'refused' });
    await first.receive();
    try {
      await write({ action: WRITE.STAT });
    } finally {
      first.cancel();
    }
  }
  const data = { action: WRITE.WRITE, offset: '0', data: BYTES };
  const offset = String(BYTES.length);

  /** Call, class, text. `ID` stands for the container that runs, `END` for the one that has ended. */
  const REFUSALS: Readonly<Record<string, readonly [call: Call, kind: ErrorKind, text: RegExp]>> = {
    'no namespace': [
      () => t.client.with({ namespace: '' }).containers.List({}),
      'failed precondition',
      /^namespace is required: failed precondition$/,
    ],
    'a bad namespace': [
      () => t.client.with({ namespace: 'not valid' }).containers.List({}),
      'invalid argument',
      /^namespace validation: identifier "not valid" must match .*: invalid argument$/,
    ],
    'a namespace that is too long': [
      () => t.client.with({ namespace: 'x'.repeat(77) }).containers.List({}),
      'invalid argument',
      /^namespace validation: identifier "x{77}" greater than maximum length \(76 characters\): invalid argument$/,
    ],
    'a bad container id': [
      () => t.client.containers.Create(container({ id: 'a/b' })),
      'invalid argument',
      /^create container failed validation: container\.ID: identifier "a\/b" must match .*: invalid argument$/,
    ],
    'a container without an id': [
      () => t.client.containers.Create(container({ id: '' })),
      'invalid argument',
      /^create container failed validation: container\.ID: identifier must not be empty: invalid argument$/,
    ],
    'a container that is there': [
      () => t.client.containers.Create(container({ id: running })),
      'already exists',
      /^container "ID": already exists$/,
    ],
    'a container that is not there': [
      () => t.client.containers.Get({ id: 'nothing' }),
      'not found',
      /^container "nothing" in namespace ".*": not found$/,
    ],
    'labels of a container': [
      () => t.client.containers.Create(container({ labels: LONG })),
      'invalid argument',
      /^create container failed validation: containers\.Labels: label key and value (length \(4099 bytes\) )?greater than maximum size \(4096 bytes\), key: key: invalid argument$/,
    ],
    'labels of a snapshot': [
      () => t.client.snapshots.Prepare({ snapshotter, key: 'long', labels: LONG }),
      'invalid argument',
      /^info\.Labels: label key and value (length \(4099 bytes\) )?greater than maximum size \(4096 bytes\), key: key: invalid argument$/,
    ],
    'an unknown snapshotter': [
      () => t.client.snapshots.Prepare({ snapshotter: 'none', key: 'x' }),
      'invalid argument',
      /^snapshotter not loaded: none: invalid argument$/,
    ],
    'a snapshot key twice': [
      () => t.client.snapshots.Prepare({ snapshotter, key: 'child', parent: top }),
      'already exists',
      /^snapshot "child": already exists$/,
    ],
    'removal of a parent': [
      () => t.client.snapshots.Remove({ snapshotter, key: top }),
      'failed precondition',
      /^cannot remove snapshot with child: failed precondition$/,
    ],
    'a snapshot that is not there': [
      () => t.client.snapshots.Stat({ snapshotter, key: 'nothing' }),
      'not found',
      /^snapshot nothing does not exist: not found$/,
    ],
    'a lease twice': [
      () => t.client.leases.Create({ id: 'twice' }),
      'already exists',
      /^lease "twice": already exists$/,
    ],
    'a wrong digest': [
      () => write(data, { action: WRITE.COMMIT, offset, expected: OTHER }),
      'failed precondition',
      /^unexpected commit digest sha256:[0-9a-f]{64}, expected sha256:[0-9a-f]{64}: failed precondition$/,
    ],
    'a wrong size': [
      () => write(data, { action: WRITE.COMMIT, offset, total: '9' }),
      'failed precondition',
      /^"refused" failed size validation: 10 != 9: failed precondition$/,
    ],
    'a gap in a write': [
      () => write({ ...data, offset: '5' }),
      'out of range',
      /^write @5 must occur at current offset 0$/,
    ],
    'a second writer': [twoWriters, 'unavailable', /^ref .*refused locked for .* \(since .*\): unavailable$/],
    'a digest that is none': [
      () => t.client.content.Info({ digest: 'sha256:abc' }),
      'invalid argument',
      /^"sha256:abc" failed validation$/,
    ],
    'content that is not there': [
      () => t.client.content.Info({ digest: OTHER }),
      'not found',
      /^content digest sha256:[0-9a-f]{64}: not found$/,
    ],
    'a task twice': [() => createTask(t.client, running), 'already exists', /^task ID: already exists$/],
    'delete of a running task': [
      () => t.client.tasks.Delete({ container_id: running }),
      'unknown',
      /^failed to delete task: cannot delete a running process(: unknown)?$/,
    ],
    'exec on a stopped task': [
      () =>
        t.client.tasks.Exec({ container_id: stopped, exec_id: 'late', spec: json(PROCESS_URL, processSpec(['true'])) }),
      targetOf(process.env) === 'davit' ? 'failed precondition' : 'unknown',
      // containerd 1.6 has the second.
      /^(container END init process is not running: failed precondition|cannot exec in a stopped state: unknown)$/,
    ],
    'a task that is not there': [
      () => t.client.tasks.Get({ container_id: 'nothing' }),
      'not found',
      /^container "nothing" in namespace ".*": not found$/,
    ],
    'kill of a stopped task': [
      () => t.client.tasks.Kill({ container_id: stopped, signal: 9 }),
      'not found',
      /^process already finished: not found$/,
    ],
  };

  for (const [what, [call, kind, text]] of Object.entries(REFUSALS))
    it(what, async () => {
      const error: unknown = await call().then(
        () => assert.fail('it must be refused'),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof ClientError, String(error));
      const said = error.message.replaceAll(running, 'ID').replaceAll(stopped, 'END');
      assert.equal(error.kind, kind, said);
      assert.match(said, text);
    });

  it('and all of it left things as they were', async () => {
    await t.client.tasks.Kill({ container_id: running, signal: 9 });
    await t.client.tasks.Wait({ container_id: running });
    assert.equal(await removeContainer(t.client, running), 137);
    assert.equal(await removeContainer(t.client, stopped), 0);
    const id = await createContainer(t.client, image, ['true'], {}, 'made');
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter, key: id });
  });
});
