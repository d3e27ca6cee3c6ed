import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { askAll } from '../../native/addon/index.ts';
import { createEvents } from '../events/exchange.ts';
import { Failure, kindOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createRecovery } from '../lib/recovery.ts';
import type { Actions } from './actions.ts';
import type { NewTask, RuntimeLifecycle } from './api.ts';
import { createBundles } from './bundle.ts';
import { createResolver } from './resolve.ts';
import { createRuntime } from './runtime.ts';
import { fakeActions, silent, startFakeShim, type Behaviour, type FakeShim } from './testing/fake-shim.ts';

const QUIET: Logger = { debugEnabled: false, debug() {}, info() {}, warn() {}, error() {}, with: () => QUIET };

describe('the runtime', () => {
  let folder: string;
  let shims: FakeShim[];
  let runtimes: RuntimeLifecycle[];
  let published: string[];

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'runtime-'));
    writeFileSync(path.join(folder, 'containerd-shim-davit-v1'), '', { mode: 0o755 });
    shims = [];
    runtimes = [];
    published = [];
  });
  afterEach(async () => {
    for (const runtime of runtimes) await runtime.close();
    for (const shim of shims) await shim.die();
    rmSync(folder, { recursive: true });
  });

  const tasks = (): string => path.join(folder, 'tasks');
  const bundlesLeft = (): string[] =>
    existsSync(path.join(tasks(), 'ns'))
      ? readdirSync(path.join(tasks(), 'ns')).filter((name) => !name.startsWith('.'))
      : [];

  function runtimeWith(actions: Actions): RuntimeLifecycle {
    const events = createEvents();
    events.listen(({ topic }) => published.push(topic));
    const runtime = createRuntime({
      log: QUIET,
      events,
      actions,
      bundles: createBundles({
        folder: tasks(),
        unmount: () => Promise.resolve(),
        failed: (error) => assert.fail(String(error)),
      }),
      resolver: createResolver({ shim: 'containerd-shim-davit-v1', folders: [folder] }),
      shimLog: { link: () => undefined },
      sockets: { sweep: () => Promise.resolve() },
      recovery: createRecovery(QUIET),
      askAll,
      timeouts: { load: 150, cleanup: 150, shutdown: 150 },
    });
    runtimes.push(runtime);
    return runtime;
  }

  /** A runtime whose shims behave so. */
  function fake(behaviour: Behaviour = {}, version = 2, answers = version) {
    const actions = fakeActions(async () => {
      const shim = await startFakeShim(folder, behaviour, version);
      shims.push(shim);
      return shim;
    }, answers);
    return { runtime: runtimeWith(actions), actions };
  }

  const task = (id: string): NewTask => ({
    namespace: 'ns',
    id,
    runtime: 'io.containerd.runc.v2',
    spec: Buffer.from('{}'),
    rootfs: [],
    stdin: '',
    stdout: '',
    stderr: '',
    terminal: false,
    options: null,
    checkpoint: '',
  });
  const never = new AbortController().signal;
  const lastShim = (): FakeShim => shims.at(-1) as FakeShim;
  const eventually = async (holds: () => boolean): Promise<void> => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 200, 'it never came true');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  it('creates, finds and deletes, and nothing is left', async () => {
    const { runtime, actions } = fake();
    const created = await runtime.create(task('a'), never);
    assert.equal(created.pid, 42);
    assert.equal(runtime.get('ns', 'a'), created);
    assert.equal(runtime.get('other', 'a'), undefined);
    assert.deepEqual(runtime.list('ns'), [created]);
    assert.equal((await runtime.delete('ns', 'a', never)).status, 3);
    assert.deepEqual(lastShim().calls, ['Create', 'Delete', 'Shutdown']);
    assert.deepEqual([runtime.all(), bundlesLeft(), actions.deletes, published], [[], [], [], []]);
  });

  it('refuses a second one of the same id, also at the same time', async () => {
    const { runtime } = fake();
    const results = await Promise.allSettled([1, 2, 3].map(() => runtime.create(task('a'), never)));
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
    await assert.rejects(
      runtime.create(task('a'), never),
      (error) => kindOf(error) === 'already exists' && /^task a: already exists$/.test((error as Error).message),
    );
    assert.equal(shims.length, 1);
  });

  it('deletes once, however many ask', async () => {
    const { runtime } = fake();
    await runtime.create(task('a'), never);
    const results = await Promise.allSettled([1, 2, 3].map(() => runtime.delete('ns', 'a', never)));
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
    assert.equal(lastShim().calls.filter((name) => name === 'Delete').length, 1);
  });

  it('lets go of who no longer wants to wait for a delete', async () => {
    const { runtime } = fake({ Delete: silent });
    await runtime.create(task('a'), never);
    const controller = new AbortController();
    const results = Promise.allSettled([1, 2].map(() => runtime.delete('ns', 'a', controller.signal)));
    await eventually(() => lastShim().calls.includes('Delete'));
    controller.abort();
    assert.deepEqual(
      (await results).map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.ok(runtime.get('ns', 'a'));
  });

  it('keeps a task that cannot be deleted yet', async () => {
    const { runtime } = fake({
      Delete: () => {
        throw new Failure('unknown', 'cannot delete a running process');
      },
    });
    await runtime.create(task('a'), never);
    await assert.rejects(runtime.delete('ns', 'a', never), {
      message: 'cannot delete a running process',
      kind: 'unknown',
    });
    assert.ok(runtime.get('ns', 'a'));
    assert.deepEqual(bundlesLeft(), ['a']);
  });

  it('leaves nothing when the shim cannot create', async () => {
    const { runtime } = fake({
      Create: () => {
        throw new Failure('invalid argument', 'no such command');
      },
      Delete: () => {
        throw new Failure('not found', 'container: not found');
      },
    });
    await assert.rejects(runtime.create(task('a'), never), {
      message: 'failed to create shim task: no such command',
      kind: 'invalid argument',
    });
    assert.deepEqual(lastShim().calls, ['Create', 'Delete', 'Shutdown']);
    assert.deepEqual([runtime.all(), bundlesLeft(), published], [[], [], []]);
    await assert.rejects(runtime.create(task('a'), never), /no such command/);
  });

  it('leaves nothing when the shim dies while it creates', async () => {
    const { runtime, actions } = fake({ Create: async () => (await lastShim().die(), {}) });
    await assert.rejects(runtime.create(task('a'), never), { kind: 'unavailable' });
    assert.deepEqual([bundlesLeft(), actions.deletes, published], [[], ['a'], []]);
  });

  it('leaves nothing when the client gives up', async () => {
    const { runtime, actions } = fake({ Create: silent, Delete: silent, Shutdown: silent });
    const controller = new AbortController();
    const creating = runtime.create(task('a'), controller.signal);
    await eventually(() => shims.length > 0 && lastShim().calls.includes('Create'));
    controller.abort();
    await assert.rejects(creating, { name: 'AbortError' });
    assert.deepEqual([bundlesLeft(), actions.deletes, actions.ends], [[], ['a'], ['a']]);
  });

  it('leaves nothing when the shim cannot be started', async () => {
    const actions = {
      ...fakeActions(() => Promise.reject(new Failure('unknown', 'no: exit status 1'))),
      delete: () => Promise.reject(new Error('nothing there')),
    };
    const runtime = runtimeWith(actions);
    await assert.rejects(runtime.create(task('a'), never), {
      message: 'failed to start shim: start failed: no: exit status 1',
    });
    assert.deepEqual([runtime.all(), bundlesLeft()], [[], []]);
  });

  it('cleans up after a shim that dies, tells who listens and who waits', async () => {
    const { runtime, actions } = fake();
    const created = await runtime.create(task('a'), never);
    const waits = [created.wait('', never), created.wait('', never), created.wait('exec', never)];
    await eventually(() => lastShim().calls.includes('Wait'));
    await lastShim().die();
    for (const wait of waits) assert.equal((await wait).status, 137);
    assert.deepEqual(published, ['/tasks/exit', '/tasks/delete']);
    assert.deepEqual([runtime.all(), bundlesLeft(), actions.deletes], [[], [], ['a']]);
    await assert.rejects(created.call('State', {}), (error) => kindOf(error) === 'not found');
  });

  it('answers a delete with what the clean-up found', async () => {
    const { runtime } = fake({ Delete: async () => (await lastShim().die(), {}) });
    await runtime.create(task('a'), never);
    assert.equal((await runtime.delete('ns', 'a', never)).status, 137);
    assert.deepEqual([runtime.all(), bundlesLeft()], [[], []]);
  });

  it('asks the shim once for any number of waiters, and lets them go one by one', async () => {
    let end = (): void => undefined;
    const { runtime } = fake({ Wait: () => new Promise((resolve) => (end = () => resolve({ exit_status: 7 }))) });
    const created = await runtime.create(task('a'), never);
    const controller = new AbortController();
    const leaving = created.wait('', controller.signal);
    const staying = created.wait('', never);
    await eventually(() => lastShim().calls.includes('Wait'));
    controller.abort();
    await assert.rejects(leaving, { name: 'AbortError' });
    end();
    assert.equal((await staying).status, 7);
    assert.equal(lastShim().calls.filter((name) => name === 'Wait').length, 1);
  });

  it('speaks version 2 to a shim that claims 3 but does not know it', async () => {
    const { runtime } = fake({}, 2, 3);
    const created = await runtime.create(task('a'), never);
    assert.equal((await created.call('State', {})).pid, 42);
  });

  it('speaks version 3', async () => {
    const { runtime } = fake({}, 3);
    assert.equal((await runtime.create(task('a'), never)).pid, 42);
  });

  describe('after a restart', () => {
    it('finds its tasks', async () => {
      const first = fake();
      await first.runtime.create(task('a'), never);
      await first.runtime.close();
      const second = fake();
      await second.runtime.recover();
      assert.equal(second.runtime.get('ns', 'a')?.pid, 42);
      await assert.rejects(second.runtime.create(task('a'), never), (error) => kindOf(error) === 'already exists');
      await second.runtime.delete('ns', 'a', never);
      assert.deepEqual([bundlesLeft(), published], [[], []]);
    });

    it('rejects waits of the daemon that stops', async () => {
      const { runtime } = fake();
      const created = await runtime.create(task('a'), never);
      const wait = created.wait('', never);
      await eventually(() => lastShim().calls.includes('Wait'));
      await runtime.close();
      await assert.rejects(wait, (error) => kindOf(error) === 'unavailable');
    });

    it('cleans up after shims that died meanwhile', async () => {
      const first = fake();
      await first.runtime.create(task('a'), never);
      await first.runtime.close();
      await lastShim().die();
      const second = fake();
      await second.runtime.recover();
      assert.deepEqual([second.runtime.all(), bundlesLeft(), second.actions.deletes], [[], [], ['a']]);
      assert.deepEqual(published, ['/tasks/exit', '/tasks/delete']);
    });

    it('ends shims that have no task', async () => {
      const gone = () => {
        throw new Failure('not found', 'container not created: not found');
      };
      const first = fake({ Connect: () => ({ shim_pid: 1, task_pid: 0 }), State: gone });
      await first.runtime.create(task('a'), never);
      await first.runtime.close();
      const second = fake();
      await second.runtime.recover();
      assert.equal(lastShim().calls.at(-1), 'Shutdown');
      assert.deepEqual([second.runtime.all(), bundlesLeft(), published], [[], [], []]);
    });

    it('keeps a shim that does not answer, and is not held up by it', async () => {
      const first = fake({ Connect: silent });
      await first.runtime.create(task('a'), never);
      await first.runtime.close();
      const second = fake();
      const started = performance.now();
      await second.runtime.recover();
      assert.ok(performance.now() - started < 5000);
      assert.ok(second.runtime.get('ns', 'a'));
      assert.deepEqual([bundlesLeft(), second.actions.deletes], [['a'], []]);
    });

    it('removes what a daemon left that died while it created', async () => {
      const bundles = createBundles({
        folder: tasks(),
        unmount: () => Promise.resolve(),
        failed: (error) => assert.fail(String(error)),
      });
      bundles.create('ns', 'unstarted', undefined);
      const half = bundles.create('ns', 'half', undefined);
      symlinkSync(path.join(folder, 'containerd-shim-davit-v1'), path.join(half.path, 'shim'));
      const { runtime, actions } = fake();
      await runtime.recover();
      assert.deepEqual([bundlesLeft(), actions.deletes, actions.ends, published], [[], ['half'], ['half'], []]);
      await runtime.close();
      assert.deepEqual(readdirSync(tasks()), [], 'nor the folder of the namespace');
    });
  });
});
