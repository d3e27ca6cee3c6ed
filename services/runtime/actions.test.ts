import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { endProcesses } from '../../native/addon/index.ts';
import { codec } from '../../proto/messages.ts';
import type { BootstrapParams } from '../../proto/gen/containerd.runtime.bootstrap.v1.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { kindOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createActions, type Actions } from './actions.ts';
import type { Bundle } from './bundle.ts';
import { runProgram } from './program.ts';
import type { Shim } from './resolve.ts';

const OPTIONS: Any = { type_url: 'containerd.runc.v1.Options', value: Buffer.from([0x08, 0x01]) };

const QUIET: Logger = { debugEnabled: false, debug() {}, info() {}, warn() {}, error() {}, with: () => QUIET };

describe('the program of a shim', () => {
  let folder: string;
  let bundle: Bundle;
  let actions: Actions;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'actions-'));
    bundle = { namespace: 'ns', id: 'a', path: path.join(folder, 'bundle') };
    mkdirSync(bundle.path);
    actions = createActions({
      log: QUIET,
      run: runProgram,
      endProcesses,
      grpcAddress: '/run/d.sock',
      ttrpcAddress: '/run/d.sock.ttrpc',
      self: '/bin/davitd',
      version: '1',
      socketFolder: '/run/s',
      debug: false,
      env: { SCHED_CORE: '1' },
      cleanupTimeout: 300,
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A shim made of shell: `-v` and `-info` are looked at before `script`. */
  function shim(script: string, { own = false, version = '' } = {}): Shim {
    const file = path.join(folder, 'shim');
    writeFileSync(
      file,
      `#!/bin/sh\nif [ "$1" = -v ]; then printf 'shim:\\n  Version:  ${version}\\n'; exit; fi\n${script}\n`,
      { mode: 0o755 },
    );
    return { path: file, own };
  }
  const written = (name: string): Buffer => readFileSync(path.join(bundle.path, name));
  const RECORD = 'pwd > pwd; echo "$@" > args; env > env; cat > input; echo unix:///s';

  it('is started in the bundle with flags and environment', async () => {
    assert.equal((await actions.start(shim(RECORD), bundle, null)).address, 'unix:///s');
    assert.equal(written('pwd').toString().trim(), bundle.path);
    assert.equal(
      written('args').toString().trim(),
      '-namespace ns -address /run/d.sock -publish-binary /bin/davitd -id a start',
    );
    const env = written('env').toString().split('\n');
    for (const line of [
      'TTRPC_ADDRESS=/run/d.sock.ttrpc',
      'GRPC_ADDRESS=/run/d.sock',
      'NAMESPACE=ns',
      'GOMAXPROCS=2',
      'SCHED_CORE=1',
    ]) {
      assert.ok(env.includes(line), line);
    }
    assert.ok(!env.some((line) => line.startsWith('DAVIT_SOCKET_DIR=')));
    assert.equal(written('input').length, 0);
  });

  for (const version of ['1.6.20~ds1', 'v2.2.9', 'unknown']) {
    it(`gets the options alone, version ${version}`, async () => {
      await actions.start(shim(RECORD, { version }), bundle, OPTIONS);
      assert.deepEqual(codec<Any>('google.protobuf.Any').decode(written('input')), OPTIONS);
    });
  }

  for (const [title, made] of [
    ['of containerd 2.3', { version: 'v2.3.0-beta.1' }],
    ['of ours', { own: true }],
  ] as const) {
    it(`${title} gets the parameters of the bootstrap`, async () => {
      await actions.start(shim(RECORD, made), bundle, OPTIONS);
      const params = codec<BootstrapParams>('containerd.runtime.bootstrap.v1.BootstrapParams').decode(written('input'));
      assert.deepEqual([params.instance_id, params.namespace, params.socket_dir], ['a', 'ns', '/run/s']);
      assert.deepEqual(params.extensions, [{ value: OPTIONS }]);
    });
  }

  it('may print warnings beside its answer, or the answer where warnings go', async () => {
    assert.equal((await actions.start(shim('echo warning >&2; echo unix:///s'), bundle, null)).address, 'unix:///s');
    assert.equal((await actions.start(shim('echo unix:///s >&2'), bundle, null)).address, 'unix:///s');
  });

  it('need not read its input', async () => {
    assert.equal(
      (await actions.start(shim('exec <&-; echo unix:///s', { own: true }), bundle, OPTIONS)).address,
      'unix:///s',
    );
  });

  it('fails with what it said', async () => {
    await assert.rejects(actions.start(shim('echo no such thing >&2; exit 3'), bundle, null), {
      message: 'no such thing: exit status 3',
      kind: 'unknown',
    });
    await assert.rejects(actions.start(shim('kill -9 $$'), bundle, null), { message: 'shim: signal 9' });
    await assert.rejects(
      actions.start({ path: path.join(folder, 'absent'), own: false }, bundle, null),
      (error) => kindOf(error) === 'failed precondition',
    );
  });

  it('tells what its clean-up found, is told where, and is bounded', async () => {
    const response = codec('containerd.task.v2.DeleteResponse').encode({ pid: 7, exit_status: 137 });
    writeFileSync(path.join(folder, 'response'), response);
    const exit = await actions.delete(shim(`echo "$@" > args; cat ${folder}/response`), bundle);
    assert.deepEqual([exit.pid, exit.status], [7, 137]);
    assert.match(written('args').toString(), new RegExp(`-id a -bundle ${bundle.path} delete$`, 'm'));
    await assert.rejects(
      actions.delete(shim('exec sleep 60'), bundle),
      (error) => kindOf(error) === 'deadline exceeded',
    );
  });

  it('is not waited for when a child of it keeps the output open', async () => {
    const started = performance.now();
    assert.equal((await actions.start(shim('sleep 20 & echo unix:///s'), bundle, null)).address, 'unix:///s');
    assert.ok(performance.now() - started < 15_000);
  });

  it('is ended by its flags, of this daemon and this bundle alone', async () => {
    const mine = ['-namespace', 'ns', '-id', 'a', '-address', '/run/d.sock'];
    const found = shim('exec sleep 60');
    const sleepers = [mine, [...mine.slice(0, 4), '-address', '/run/other.sock']].map((flags) =>
      spawn('/bin/sh', ['-c', 'read line', ...flags], { argv0: found.path }),
    );
    for (const child of sleepers) child.on('error', assert.fail);
    const [first, second] = sleepers as [ChildProcess, ChildProcess];
    const ended = new Promise((resolve) => first.once('exit', (_, signal) => resolve(signal)));
    assert.deepEqual(await actions.end(found, bundle), [first.pid]);
    assert.equal(await ended, 'SIGKILL');
    assert.equal(second.exitCode, null);
    second.kill('SIGKILL');
  });

  it('tells about itself', async () => {
    writeFileSync(path.join(folder, 'info'), codec('containerd.types.RuntimeInfo').encode({ name: 'n' }));
    assert.equal((await actions.info(shim(`cat ${folder}/info`), null)).name, 'n');
  });
});
