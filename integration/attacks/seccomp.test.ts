// The default profile against each class of system call that a container should not reach.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { before, describe, it } from 'mocha';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { putImage } from '../harness/store.ts';
import { evilImage, PROBE } from './attacker.ts';
import { runWith } from './cli.ts';

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Never, whatever the capabilities below. */
const NEVER = words(`io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key userfaultfd kexec_load
  kexec_file_load init_module finit_module delete_module open_by_handle_at pivot_root swapon acct settimeofday
  nfsservctl iopl`);

/** With CAP_SYS_ADMIN only; then they come to the kernel, which finds fault with the arguments. */
const ADMIN = words(`bpf perf_event_open mount umount2 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
  setns quotactl`);

/** Whatever the capabilities; the second form of each has a bit set that the kernel does not look at. */
const SOCKETS = ['AF_ALG', 'AF_VSOCK'].flatMap((family) => [`socket ${family}`, `socket ${family} above 32 bits`]);

const NAMESPACES = words('user pid net ipc uts mount cgroup').flatMap((kind) => [`clone ${kind}`, `unshare ${kind}`]);

/** What ctr 1.6 puts into a spec allows these, or leaves them to the kernel. */
const OLD_CTR = /^(io_uring_|socket|x32|unshare time)/;

type Answers = ReadonlyMap<string, string>;

describe('attacks: system calls under the default profile', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const image = evilImage('seccomp');

  before(() => putImage(t.client, image));

  function answers(program: 'davit' | 'ctr', flags: readonly string[], what = 'calls'): Answers {
    const { stdout, stderr } = runWith(program, t.daemon, t.client, flags, image, ['probe', what]);
    const lines = stdout.trim().split('\n');
    assert.ok(lines.length > 20, stdout + stderr);
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]));
  }

  function expect(got: Answers, names: readonly string[], answer: RegExp): void {
    const wrong = names.map((name) => `${name} ${got.get(name) ?? 'not called'}`).filter((line) => !answer.test(line));
    assert.deepEqual(wrong, []);
  }

  const REFUSED = / EPERM$/;
  const REACHED = / (allowed|E(?!PERM).*)$/;

  for (const program of ['davit', 'ctr'] as const) {
    const known = (names: readonly string[]): string[] =>
      names.filter((name) => program === 'davit' || !OLD_CTR.test(name));

    it(`${program} run --seccomp`, function () {
      if (program === 'davit') davitOnly(this, t.target, 'containerd does not have this client');
      const got = answers(program, ['--seccomp']);
      expect(got, known(NEVER), REFUSED);
      expect(got, ADMIN, REFUSED);
      expect(got, known([...NAMESPACES, 'unshare time', 'personality READ_IMPLIES_EXEC']), REFUSED);
      expect(got, known([...SOCKETS, 'x32 keyctl']), REFUSED);
      // Programs that ask for these fall back to older calls, which a filter can look into.
      expect(got, ['clone3'], / ENOSYS$/);
      expect(got, ['socket AF_UNIX', 'socket AF_INET6', 'clone plain'], / allowed$/);
    });

    it(`${program} run --seccomp --cap-add CAP_SYS_ADMIN`, function () {
      if (program === 'davit') davitOnly(this, t.target, 'containerd does not have this client');
      const got = answers(program, ['--seccomp', '--cap-add', 'CAP_SYS_ADMIN']);
      expect(got, known(NEVER), REFUSED);
      expect(got, known(SOCKETS), REFUSED);
      expect(got, [...ADMIN, ...NAMESPACES, 'clone3'], REACHED);
    });

    it(`${program} run --seccomp: the 32-bit ABI`, function () {
      if (process.arch !== 'x64') this.skip();
      if (!execFileSync(PROBE, ['calls32'], { encoding: 'utf8' }).startsWith('getpid allowed')) {
        console.log('skipped: not even the host has the 32-bit ABI on this machine');
        this.skip();
      }
      if (program === 'davit') davitOnly(this, t.target, 'containerd does not have this client');
      const got = answers(program, ['--seccomp'], 'calls32');
      const calls = words('keyctl bpf perf_event_open userfaultfd kexec_load mount umount2 open_tree fsopen');
      expect(got, [...calls, ...words('init_module setns open_by_handle_at')], REFUSED);
      expect(got, ['unshare user', 'unshare mount', 'clone user'], REFUSED);
      expect(got, known(['io_uring_setup', 'socket AF_ALG', 'socket AF_VSOCK', 'socketcall']), REFUSED);
      expect(got, ['clone3'], / ENOSYS$/);
      expect(got, ['getpid', 'socket AF_UNIX'], / allowed$/);
    });
  }

  it('without a profile the calls get through: it is the profile that refuses them', function () {
    const got = answers('ctr', []);
    const some = words('io_uring_setup keyctl bpf perf_event_open userfaultfd open_by_handle_at');
    expect(got, [...some, 'mount', 'clone user', 'clone3', 'socket AF_VSOCK'], REACHED);
  });
});
