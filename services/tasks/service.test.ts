import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { askAll } from '../../native/addon/index.ts';
import { codec } from '../../proto/messages.ts';
import type { CheckpointOptions } from '../../proto/gen/containerd.runc.v1.ts';
import type { TasksService } from '../../proto/gen/containerd.services.tasks.v1.ts';
import type { Container, Containers } from '../containers/api.ts';
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import { createEvents } from '../events/exchange.ts';
import type { Call } from '../grpc/call.ts';
import type { Handlers } from '../grpc/handlers.ts';
import { Failure, kindOf, type Kind } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createRecovery } from '../lib/recovery.ts';
import type { RuntimeLifecycle } from '../runtime/api.ts';
import { createBundles } from '../runtime/bundle.ts';
import { createResolver } from '../runtime/resolve.ts';
import { createRuntime } from '../runtime/runtime.ts';
import { fakeActions, silent, startFakeShim, type Behaviour, type FakeShim } from '../runtime/testing/fake-shim.ts';
import { createCheckpoints } from './checkpoint.ts';
import { createTasksService } from './service.ts';

const QUIET: Logger = { debugEnabled: false, debug() {}, info() {}, warn() {}, error() {}, with: () => QUIET };
const CALL: Call = {
  method: '',
  signal: new AbortController().signal,
  namespace: () => 'ns',
  rawNamespace: 'ns',
  lease: undefined,
  sendHeaders: () => undefined,
};

type Method = keyof TasksService;
const EMPTY: Record<string, unknown> = {
  exec_id: '',
  stdin: '',
  stdout: '',
  stderr: '',
  runtime_path: '',
  rootfs: [],
  options: null,
  checkpoint: null,
};

describe('the tasks service', () => {
  let folder: string;
  let shims: Map<string, FakeShim>;
  let runtime: RuntimeLifecycle;
  let created: Record<string, unknown>[];
  let call: (method: Method, request: Record<string, unknown>) => Promise<Record<string, unknown>>;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tasks-'));
    shims = new Map();
    created = [];
    serve({});
  });
  afterEach(async () => {
    await runtime.close();
    for (const shim of shims.values()) await shim.die();
    rmSync(folder, { recursive: true });
  });

  /** Containers a, b and c exist; their shims behave so. */
  function serve(behaviour: Behaviour): void {
    for (const name of ['containerd-shim-davit-v1', 'containerd-shim-other-v1'])
      writeFileSync(path.join(folder, name), '', { mode: 0o755 });
    runtime = createRuntime({
      log: QUIET,
      events: createEvents(),
      actions: fakeActions(async () => {
        const shim = await startFakeShim(folder, {
          Create: (request) => (created.push(request), { pid: 42 }),
          ...behaviour,
        });
        shims.set(shim.address, shim);
        return shim;
      }),
      bundles: createBundles({
        folder: path.join(folder, 'tasks'),
        unmount: () => Promise.resolve(),
        failed: (error) => assert.fail(String(error)),
      }),
      resolver: createResolver({ shim: 'containerd-shim-davit-v1', folders: [folder] }),
      shimLog: { link: () => undefined },
      sockets: { sweep: () => Promise.resolve() },
      recovery: createRecovery(QUIET),
      askAll,
      timeouts: { load: 100, cleanup: 100, shutdown: 100 },
    });
    const containers: Pick<Containers, 'get'> = {
      get(namespace, id) {
        if (!['a', 'b', 'c'].includes(id))
          throw new Failure('not found', `container "${id}" in namespace "${namespace}": not found`);
        const options = { type_url: 'x', value: Buffer.from('container') };
        const spec = { type_url: 'y', value: Buffer.from('{}') };
        return { id, spec, runtime: { name: 'io.containerd.runc.v2', options } } as unknown as Container;
      },
    };
    const service = createTasksService({
      runtime,
      containers: containers as Containers,
      snapshots: { names: [], get: () => assert.fail() },
      checkpoints: createCheckpoints({ content: {} as Content, diffs: {} as Diffs, folder: path.join(folder, 'cp') }),
      log: QUIET,
      stateTimeout: 100,
    });
    const handlers = service.handlers as Handlers<TasksService>;
    call = async (method, request) => {
      const handler = handlers[method] as (request: object, call: Call) => Promise<Record<string, unknown>>;
      return await handler({ ...EMPTY, ...request }, CALL);
    };
  }

  const fails = (
    method: Method,
    request: Record<string, unknown>,
    kind: Kind,
    message: string | RegExp,
  ): Promise<void> =>
    assert.rejects(
      // A handler may throw at once as well.
      async () => call(method, request),
      (error: unknown) => {
        assert.equal(kindOf(error), kind);
        if (typeof message === 'string') assert.equal((error as Error).message, message);
        else assert.match((error as Error).message, message);
        return true;
      },
    );

  const methods: Method[] = [
    'Start',
    'Delete',
    'DeleteProcess',
    'Get',
    'Kill',
    'Exec',
    'ResizePty',
    'CloseIO',
    'Pause',
    'Resume',
  ];
  for (const method of [...methods, 'ListPids', 'Checkpoint', 'Update', 'Wait'] as Method[]) {
    it(`${method} knows neither container nor task`, async () => {
      await fails(
        method,
        { container_id: 'x', exec_id: 'e' },
        'not found',
        'container "x" in namespace "ns": not found',
      );
      await fails(method, { container_id: 'a', exec_id: 'e' }, 'not found', 'task a not found');
    });
  }

  it('creates with the options of the container when the request has none', async () => {
    assert.deepEqual(await call('Create', { container_id: 'a' }), { container_id: 'a', pid: 42 });
    const options = { type_url: 'x', value: Buffer.from('request') };
    await call('Create', { container_id: 'b', options, stdout: '/fifo', terminal: true });
    await call('Create', { container_id: 'c', options: { type_url: 'x', value: Buffer.alloc(0) } });
    assert.deepEqual(
      created.map((request) => String((request['options'] as { value: Buffer }).value)),
      ['container', 'request', 'container'],
    );
    assert.equal(created[1]?.['stdout'], '/fifo');
    assert.equal(created[1]?.['terminal'], true);
    await fails('Create', { container_id: 'a' }, 'already exists', 'task a: already exists');
  });

  it('creates with the shim that the request names', async () => {
    await call('Create', { container_id: 'a', runtime_path: path.join(folder, 'containerd-shim-other-v1') });
    assert.equal(runtime.get('ns', 'a')?.binary, path.join(folder, 'containerd-shim-other-v1'));
    await fails(
      'Create',
      { container_id: 'b', runtime_path: 'bin/shim' },
      'invalid argument',
      /invalid runtime name bin\/shim/,
    );
  });

  it('puts the id of container or exec into `id`, and fills in a time', async () => {
    await call('Create', { container_id: 'a' });
    const { process } = (await call('Get', { container_id: 'a' })) as { process: Record<string, unknown> };
    assert.equal(process['id'], 'a');
    assert.equal('container_id' in process, false);
    assert.deepEqual(process['exited_at'], { seconds: '-62135596800', nanos: 0 });
    const exec = (await call('Get', { container_id: 'a', exec_id: 'e' })) as { process: Record<string, unknown> };
    assert.equal(exec.process['id'], 'e');
  });

  it('leaves silent tasks out of lists, and bounds Get', async () => {
    let answers = true;
    serve({ State: () => (answers ? { pid: 1, status: 2 } : silent()) });
    await call('Create', { container_id: 'a' });
    assert.equal(((await call('List', {})) as { tasks: object[] }).tasks.length, 1);
    answers = false;
    assert.equal(((await call('List', {})) as { tasks: object[] }).tasks.length, 0);
    await fails('Get', { container_id: 'a' }, 'deadline exceeded', /State: deadline exceeded/);
  });

  it('checks exec ids', async () => {
    await call('Create', { container_id: 'a' });
    await fails('Exec', { container_id: 'a' }, 'invalid argument', 'exec id cannot be empty');
    await fails('Exec', { container_id: 'a', exec_id: '../e' }, 'invalid argument', /^invalid exec id \.\.\/e: /);
  });

  it('kills all only where the whole task is meant', async () => {
    const kills: unknown[] = [];
    serve({ Kill: (request) => (kills.push([request['exec_id'], request['signal'], request['all']]), {}) });
    await call('Create', { container_id: 'a' });
    await call('Kill', { container_id: 'a', signal: 9, all: true });
    await call('Kill', { container_id: 'a', exec_id: 'e', signal: 15, all: true });
    assert.deepEqual(kills, [
      ['', 9, true],
      ['e', 15, false],
    ]);
  });

  it('passes the refusal to delete on', async () => {
    serve({
      Delete: () => {
        throw new Failure('unknown', 'cannot delete a running process');
      },
    });
    await call('Create', { container_id: 'a' });
    await fails('Delete', { container_id: 'a' }, 'unknown', 'failed to delete task: cannot delete a running process');
  });

  it('deletes processes and tasks', async () => {
    await call('Create', { container_id: 'a' });
    assert.deepEqual(
      { ...(await call('DeleteProcess', { container_id: 'a', exec_id: 'e' })), exited_at: 0 },
      { id: 'e', pid: 42, exit_status: 3, exited_at: 0 },
    );
    assert.deepEqual(
      { ...(await call('Delete', { container_id: 'a' })), exited_at: 0 },
      { id: '', pid: 42, exit_status: 3, exited_at: 0 },
    );
    await fails('Delete', { container_id: 'a' }, 'not found', 'task a not found');
  });

  it('filters metrics, and leaves out what does not answer', async () => {
    serve({
      Stats: ({ id }) => {
        if (id === 'c') throw new Failure('unknown', 'no cgroup');
        return { stats: { type_url: 'io.containerd.cgroups.v1.Metrics', value: Buffer.from('m') } };
      },
    });
    for (const id of ['a', 'b', 'c']) await call('Create', { container_id: id });
    const ids = async (...filters: string[]) =>
      ((await call('Metrics', { filters })) as { metrics: { id: string }[] }).metrics.map(({ id }) => id);
    assert.deepEqual(await ids(), ['a', 'b']);
    assert.deepEqual(await ids('id==b', 'id==c'), ['b']);
    assert.deepEqual(await ids('namespace==other'), []);
    await fails('Metrics', { filters: ['=='] }, 'invalid argument', /parse error/);
  });

  it('says what it cannot do', async () => {
    await call('Create', { container_id: 'a' });
    await fails(
      'Checkpoint',
      { container_id: 'a', parent_checkpoint: 'sha256:x' },
      'not implemented',
      /parent checkpoint: not implemented/,
    );
    await fails(
      'Create',
      { container_id: 'b', checkpoint: { media_type: 'text/plain', digest: 'sha256:x', size: '1' } },
      'invalid argument',
      /unsupported checkpoint type "text\/plain"/,
    );
  });

  it('has a shim write a checkpoint where the client wants it', async () => {
    const asked: Record<string, unknown>[] = [];
    serve({ Checkpoint: (request) => (asked.push(request), {}) });
    await call('Create', { container_id: 'a' });
    const value = codec<CheckpointOptions>('containerd.runc.v1.CheckpointOptions').encode({ image_path: '/images' });
    const options = { type_url: 'containerd.runc.v1.CheckpointOptions', value };
    const answer = await call('Checkpoint', { container_id: 'a', parent_checkpoint: '', options });
    assert.deepEqual(answer, { descriptors: [] });
    assert.equal(asked[0]?.['path'], '/images');
  });
});
