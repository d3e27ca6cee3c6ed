// Descriptors and programs of the host's within a container's reach.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { PROCESS_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import {
  createContainer,
  createTask,
  exec,
  json,
  startContainer,
  uniqueId,
  type Result,
} from '../harness/container.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { parentOf } from '../harness/procfs.ts';
import { processSpec } from '../harness/spec.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';
import { attempt, bind, createCanary, evilImage } from './attacker.ts';
import { attacker, kill } from './running.ts';

const FIRST = 3;
const LAST = 64;
const EXECS = 25;

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

describe('attacks: descriptors and programs of the host', function () {
  this.timeout(120_000);
  const t = useDaemon();
  const image = evilImage('descriptors', [
    { name: 'evil', content: '#!/proc/self/exe -info\n', mode: 0o755 },
    ...Array.from({ length: LAST - FIRST + 1 }, (_, at) => ({
      name: `fd${at + FIRST}`,
      type: 'symlink' as const,
      target: `/proc/self/fd/${at + FIRST}`,
    })),
  ]);

  before(() => putImage(t.client, image));

  it('CVE-2024-21626: a working directory that is a descriptor of the runtime', async () => {
    const canary = createCanary();
    const script = `pwd; cat ${'../'.repeat(8)}${canary.secret.slice(1)} /proc/self/cwd/${'../'.repeat(8)}${canary.secret.slice(1)}`;
    const escaped = (got: Result): boolean => `${got.stdout}${got.stderr}`.includes(canary.text);
    const holder = await startContainer(t.client, image, ['sleep', '1000']);
    try {
      for (let fd = FIRST; fd <= LAST; fd += 1) {
        const cwd = fd % 2 === 0 ? `/fd${fd}` : `/proc/self/fd/${fd}`;
        const got = await attempt(t.client, image, ['sh', '-c', script], { cwd });
        assert.ok(!escaped(got), `run in ${cwd}: ${got.stdout}`);
        const inside = await exec(t.client, holder, ['sh', '-c', script], { cwd }).catch(() => undefined);
        assert.ok(inside === undefined || !escaped(inside), `exec in ${cwd}`);
      }
      canary.check();
    } finally {
      await kill(t.client, holder);
      canary.remove();
    }
  });

  it('CVE-2019-5736: the runtime is executed in the container, and written to when it is idle', async function () {
    davitOnly(this, t.target, 'runc executes a copy of itself, which nothing here gets to see');
    const volume = mkdtempSync('/tmp/davit-volume-');
    const result = path.join(volume, 'result');
    const id = await startContainer(t.client, image, ['sh', '-c', 'probe reopen 20 >/v/result 2>&1; exec sleep 1000'], {
      mounts: [bind(volume, '/v')],
    });
    try {
      await eventually('the attacker waits', () => read(result).includes('waiting'));
      for (let round = 0; round < 50 && !read(result).includes('held'); round += 1)
        await execReading(t.client, id, [round % 2 === 0 ? '/evil' : '/proc/self/exe', '-info']);
      assert.match(read(result), /held/, 'the runtime was never seen: nothing was tried');
      const { process: init } = await t.client.tasks.Get({ container_id: id });
      const shim = parentOf(init?.pid ?? 0);
      const end = (): Promise<void> =>
        eventually('the attempt ends', () => /WRITABLE|refused|to the end/.test(read(result)), 30_000);
      // It is idle only when no shim runs any more: the attacker outlives its own.
      await t.restart('kill', async () => {
        process.kill(shim, 'SIGKILL');
        await end();
      });
      assert.match(read(result), /refused (EROFS|EPERM)/, read(result));
    } finally {
      await kill(t.client, id).catch(() => undefined);
      rmSync(volume, { recursive: true, force: true });
    }
  });

  it('CVE-2016-9962: processes that join a container are looked at before they are its own', async () => {
    const spy = await attacker(t.client, image, ['probe', 'spy']);
    const namespaces = [
      { type: 'pid', path: `/proc/${spy.pid}/ns/pid` },
      ...['ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
    ];
    const victim = await createContainer(t.client, image, ['sleep', '1000'], { linux: { namespaces } });
    try {
      await spy.output.waitFor(/spying/);
      // Created and not started: its init waits, with all that it will have, in the spy's sight.
      await createTask(t.client, victim);
      for (let round = 0; round < EXECS; round += 1) await exec(t.client, spy.id, ['usleep', '20000']);
      await exec(t.client, spy.id, ['kill', '-TERM', '1']);
      await spy.output.waitFor(/done/, 30_000);
      const lines = spy.output.text.trim().split('\n');
      const harmless = /^(spying|done|(cwd|root) \/|(exe|mem) \/bin\/(busybox|probe)|fd \/proc)$/;
      assert.deepEqual(
        lines.filter((line) => !harmless.test(line)),
        [],
      );
      assert.ok(lines.includes('exe /bin/busybox'), 'it saw nothing at all');
    } finally {
      await kill(t.client, victim);
      await spy.stop();
    }
  });

  it('CVE-2020-15257: sockets of shims in the abstract namespace of the host', async function () {
    davitOnly(this, t.target, 'containerd 1.6 makes its sockets elsewhere, with other names');
    const linux = { namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) };
    const holder = await startContainer(t.client, image, ['sleep', '1000'], { linux });
    try {
      const { stdout } = await exec(t.client, holder, ['cat', '/proc/net/unix']);
      const { process: init } = await t.client.tasks.Get({ container_id: holder });
      const shim = parentOf(init?.pid ?? 0);
      const inodes = readdirSync(`/proc/${shim}/fd`)
        .map((fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${shim}/fd/${fd}`))?.[1])
        .filter((inode) => inode !== undefined);
      const own = stdout.split('\n').filter((line) => inodes.includes(line.trim().split(/\s+/)[6] ?? ''));
      const named = own.map((line) => line.trim().split(/\s+/)[7] ?? '').filter((name) => name !== '');
      assert.ok(named.length > 0, 'the socket of the shim was not found');
      for (const name of [...named, t.daemon.address, `${t.daemon.address}.ttrpc`]) {
        assert.ok(name.startsWith('/'), name);
        const tried = await exec(t.client, holder, ['sh', '-c', `ls ${name}`]);
        assert.notEqual(tried.status, 0, `${name} is there in the container`);
        assert.equal(connects(name, 65534), false, `${name} answers to anybody`);
        assert.equal(connects(name, 0), true, `${name} does not answer to root: nothing was tried`);
        const { mode, uid, gid } = statSync(name);
        // The daemon's may be its group's, too.
        assert.deepEqual([mode & 0o117, uid, gid], [0, 0, 0], `${name} has mode ${mode.toString(8)}`);
      }
    } finally {
      await kill(t.client, holder);
    }
  });

  it('containerd#11149: descriptors that processes are born with', async () => {
    const holder = await startContainer(t.client, image, ['sleep', '1000']);
    try {
      const other = exec(t.client, holder, ['sleep', '3']);
      const list = 'for p in /proc/[0-9]*; do [ $(cat $p/comm) != sleep ] || echo $(ls $p/fd); done';
      await eventually('both are listed', async () => {
        const { stdout } = await exec(t.client, holder, ['sh', '-c', list]);
        assert.match(stdout, /^(0 1 2\n)+$/);
        return stdout === '0 1 2\n0 1 2\n';
      });
      await other;
    } finally {
      await kill(t.client, holder);
    }
  });
});

/** Executes what reads its standard input, which stays open: the runtime then runs for a while. */
async function execReading(client: Client, id: string, args: readonly string[]): Promise<void> {
  const stdio = createStdio({ stdin: true });
  const output = stdio.openOutput('stdout');
  const exec_id = uniqueId('e');
  const process_ = { container_id: id, exec_id };
  try {
    await client.tasks.Exec({
      ...process_,
      stdin: stdio.paths.stdin,
      stdout: stdio.paths.stdout,
      spec: json(PROCESS_URL, processSpec(args)),
    });
    // Refused, or over before its input could be opened: as good as any other end.
    await client.tasks
      .Start(process_)
      .then(async () => {
        const input = stdio.openInput();
        await client.tasks.Wait(process_);
        input.close();
      })
      .catch(() => undefined);
    await client.tasks.DeleteProcess(process_).catch(() => undefined);
  } finally {
    output.close();
    stdio.remove();
  }
}

/** Whether a process with this user id can connect to a socket. */
function connects(address: string, uid: number): boolean {
  const program = 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])';
  const { status, error } = spawnSync('python3', ['-c', program, address], { uid, gid: uid, stdio: 'ignore' });
  if (error !== undefined) throw error;
  return status === 0;
}
