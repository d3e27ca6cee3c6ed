// What davit does beyond ctr, and what ctr's checks (interop/davit.sh) do not look at.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { before, after, describe, it } from 'mocha';
import { useDaemon } from '../harness/fixture.ts';
import { REPOSITORY } from '../harness/target.ts';
import { writeImages } from '../harness/write-images.ts';

const DAVIT = path.join(REPOSITORY, 'bin/davit');
const TERMINAL = path.join(REPOSITORY, 'integration/interop/terminal.py');
const IMAGE = 'docker.io/test/busybox:latest';
const LIMIT_MS = 30_000;
const MOST_OUTPUT = 64 * 1024 * 1024;

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('davit', function () {
  this.timeout(2 * LIMIT_MS);
  const fixture = useDaemon();
  let images = '';

  const global = (): string[] => ['--address', fixture.daemon.address, '--namespace', fixture.client.namespace];
  const davit = (args: readonly string[], input = ''): Result => {
    const options = { encoding: 'utf8', input, timeout: LIMIT_MS, maxBuffer: MOST_OUTPUT } as const;
    const result = spawnSync(DAVIT, [...global(), ...args], options);
    return { status: result.status, stdout: result.stdout, stderr: result.stderr };
  };
  const onTerminal = (steps: readonly string[], args: readonly string[]): Result => {
    const result = spawnSync('python3', [TERMINAL, '33', '77', ...steps, '--', DAVIT, ...global(), ...args], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    return { status: result.status, stdout: result.stdout, stderr: result.stderr };
  };
  const started = (args: readonly string[]): ChildProcessWithoutNullStreams =>
    spawn(DAVIT, [...global(), ...args], { stdio: 'pipe' });
  const fifos = (): string[] => {
    const directory = path.join(path.dirname(fixture.daemon.address), 'fifo');
    return existsSync(directory) ? readdirSync(directory) : [];
  };

  before('import an image', () => {
    images = mkdtempSync('/tmp/davit-images-');
    writeImages(images);
    assert.equal(davit(['images', 'import', path.join(images, 'busybox.tar')]).status, 0);
  });
  after('remove the archives', () => rmSync(images, { recursive: true, force: true }));

  it('loses no output and no status', () => {
    const { status, stdout } = davit(['run', '--rm', IMAGE, 'much', 'sh', '-c', 'seq 1 200000; exit 7']);
    const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('');
    assert.equal(status, 7);
    assert.equal(
      createHash('sha256').update(stdout).digest('hex'),
      createHash('sha256').update(expected).digest('hex'),
    );
  });

  it('hands all of stdin on, and its end', () => {
    const input = 'x'.repeat(1_000_000);
    const { status, stdout } = davit(['run', '--rm', IMAGE, 'count', 'sh', '-c', 'cat | wc -c'], input);
    assert.deepEqual([status, stdout.trim()], [0, '1000000']);
  });

  it('does not wait for children that keep the output open', () => {
    davit(['run', '-d', IMAGE, 'host', 'sleep', '1000']);
    const before = performance.now();
    const { status, stdout } = davit(['tasks', 'exec', 'host', 'sh', '-c', 'sleep 1000 & echo started']);
    assert.deepEqual([status, stdout], [0, 'started\n']);
    assert.ok(performance.now() - before < 8000);
    assert.equal(davit(['containers', 'rm', '-f', 'host']).status, 0);
  });

  it('forwards signals', async () => {
    const child = started([
      'run',
      '--rm',
      IMAGE,
      'signalled',
      'sh',
      '-c',
      'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done',
    ]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGTERM');
    assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 9);
  });

  it('ends a container whose output nobody reads', async () => {
    const child = started(['run', '--rm', IMAGE, 'unread', 'sh', '-c', 'while :; do echo y; done']);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 141);
    assert.equal(davit(['containers', 'ls', '-q']).stdout, '');
  });

  it('leaves a container by keys and returns to it', () => {
    const shell = ['wait:[#$] ', 'key:p', 'key:q'];
    const left = onTerminal(shell, ['run', '-t', IMAGE, 'kept', 'sh']);
    assert.equal(left.status, 0, left.stderr);
    assert.match(davit(['tasks', 'ls']).stdout, /kept +\d+ +RUNNING/);
    const back = onTerminal(['send:exit 5'], ['tasks', 'attach', 'kept']);
    assert.equal(back.status, 5, back.stderr);
    assert.equal(davit(['containers', 'rm', 'kept']).status, 0);
  });

  it('gives the terminal back', () => {
    const command = `${DAVIT} ${global().join(' ')} run --rm -t ${IMAGE} raw sh -c 'exit 3'; echo "status $?"; stty -a`;
    const result = spawnSync('python3', [TERMINAL, '33', '77', '--', 'sh', '-c', command], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    assert.match(result.stdout, /status 3/);
    assert.match(result.stdout, /[^-]icanon/);
    assert.match(result.stdout, /[^-]echo /);
  });

  it('prints JSON for programs wherever there is a table', () => {
    davit(['run', '-d', IMAGE, 'listed', 'sleep', '1000']);
    const lists = [
      'images ls',
      'images check',
      'content ls',
      'snapshots ls',
      'snapshots usage',
      'snapshots tree',
      'containers ls',
      'tasks ls',
      'tasks ps listed',
      'namespaces ls',
      'plugins ls',
      'tasks metrics listed',
      'version',
      'leases ls',
      'content active',
    ];
    for (const list of lists) {
      const { status, stdout, stderr } = davit([...list.split(' '), '--format', 'json']);
      assert.equal(status, 0, `${list}: ${stderr}`);
      assert.doesNotThrow(() => JSON.parse(stdout), list);
    }
    const [task] = JSON.parse(davit(['tasks', 'ls', '--format', 'json']).stdout) as {
      id: string;
      status: string;
      pid: unknown;
    }[];
    assert.deepEqual([task?.id, task?.status, typeof task?.pid], ['listed', 'RUNNING', 'number']);
    davit(['containers', 'rm', '-f', 'listed']);
  });

  it('says what is wrong and what to do', () => {
    const missing = davit(['run', '--rm', 'docker.io/test/none:1', 'x', 'true']);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^davit: image "docker.io\/test\/none:1": not found\nhint: /);
    assert.match(davit(['run']).stderr, /image ref must be provided\nRun `davit run --help`/);
    assert.equal(davit(['imags']).status, 3);
    assert.match(
      davit(['pull', 'localhost:1/x']).stderr,
      /^davit: failed to resolve image: localhost:1\/x:latest: HEAD https:\/\/localhost:1\/.*: nothing listens on localhost:1 /,
    );
    assert.match(davit(['tasks', 'checkpoint', 'x']).stderr, /^davit: container "x" .*not found\nhint: /);
    const away = spawnSync(DAVIT, ['--address', '/tmp/no/such.sock', 'version'], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    assert.match(
      away.stderr,
      /cannot reach the daemon: connect ENOENT \/tmp\/no\/such\.sock\nhint: no daemon listens there/,
    );
    assert.match(davit(['run', '--rm', '--gpus', '0', IMAGE, 'x', 'true']).stderr, /--gpus: GPUs need CDI/);
  });

  it('leaves nothing behind when it cannot run', () => {
    davit(['run', '--rm', IMAGE, 'bad', '/no/such/program']);
    davit(['run', '--rm', '--user', 'nobody-here', IMAGE, 'bad', 'true']);
    davit(['run', '--rm', '--mount', 'type=bind', IMAGE, 'bad', 'true']);
    assert.equal(davit(['containers', 'ls', '-q']).stdout, '');
    assert.equal(davit(['snapshots', 'ls', 'kind==active', '-q']).stdout, '');
    assert.equal(davit(['leases', 'ls', '-q']).stdout, '');
    assert.deepEqual(fifos(), []);
  });

  it('exports what it imports', () => {
    const archive = path.join(images, 'exported.tar');
    assert.equal(davit(['images', 'export', archive, IMAGE]).status, 0);
    const second = path.join(images, 'again.tar');
    const other = ['--address', fixture.daemon.address, '--namespace', fixture.inNewNamespace().namespace];
    assert.equal(spawnSync(DAVIT, [...other, 'images', 'import', archive], { timeout: LIMIT_MS }).status, 0);
    assert.equal(spawnSync(DAVIT, [...other, 'images', 'export', second, IMAGE], { timeout: LIMIT_MS }).status, 0);
    assert.ok(readFileSync(archive).equals(readFileSync(second)));
  });

  it('survives a restart of the daemon', async function () {
    if (fixture.target !== 'davit') this.skip();
    const child = started(['run', '--rm', IMAGE, 'outlives', 'sh', '-c', 'echo up; sleep 4; echo still; exit 4']);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    while (!output.includes('up')) await sleep(50);
    await fixture.restart('kill');
    assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 4);
    assert.equal(output, 'up\nstill\n');
  });
});
