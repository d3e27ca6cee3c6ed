// Who a process is: users and groups that an image names, capabilities, ids out of range.
import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { exec, run, startContainer } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { putImage } from '../harness/store.ts';
import type { TarEntry } from '../harness/tar.ts';
import { attempt, createCanary, evilImage } from './attacker.ts';
import { runWith } from './cli.ts';
import { kill } from './running.ts';

const GIGABYTES = 5 * 2 ** 30;
const PATIENCE_MS = 20_000;

/** Names that are numbers, numbers that are names, and ids that wrap to root when cut to 32 bits. */
const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'user:x:1000:1000:user:/home:/bin/sh',
  '4242:x:0:0:a number as a name:/:/bin/sh',
  'wraps:x:4294967296:4294967296:zero in 32 bits:/:/bin/sh',
  'minus:x:-1:-1:all bits:/:/bin/sh',
  'last:x:4294967295:4294967295:(uid_t)-1:/:/bin/sh',
  'hex:x:0x0:0x0:root in another base:/:/bin/sh',
  '',
].join('\n');
const GROUP = 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\nwraps:x:4294967296:user\n4242:x:0:\n';

interface UserCase {
  readonly user: string;
  /** What id prints, when the container may run at all. */
  readonly runs?: RegExp;
}

const USERS: readonly UserCase[] = [
  { user: '2147483648' },
  { user: '4294967295' },
  { user: '4294967296' },
  { user: '-1' },
  { user: '0x0' },
  { user: '1000:4294967296' },
  { user: '1000:-1' },
  { user: 'wraps' },
  { user: 'minus' },
  { user: 'last' },
  { user: 'hex' },
  { user: '18446744073709551616' },
  { user: '4242', runs: /^uid=4242 gid=0/ },
  { user: '1000', runs: /^uid=1000\(user\) gid=1000/ },
];

const sparse = (name: string): TarEntry => ({ name, type: 'symlink', target: '/big' });

describe('attacks: users and capabilities', function () {
  this.timeout(90_000);
  const t = useDaemon();
  const image = evilImage('users', [
    { name: 'etc/passwd', content: PASSWD },
    { name: 'etc/group', content: GROUP },
    { name: 'denied', content: 'denied to the group', mode: 0o604, uid: 0, gid: 1000 },
  ]);

  before(() => putImage(t.client, image));

  for (const { user, runs } of USERS) {
    it(`CVE-2024-40635: USER ${user} of an image`, async function () {
      davitOnly(this, t.target, 'containerd does not have this client');
      const named = evilImage(
        `user${user.replaceAll(/\W/g, '-')}`,
        [
          { name: 'etc/passwd', content: PASSWD },
          { name: 'etc/group', content: GROUP },
        ],
        { User: user },
      );
      await putImage(t.client, named);
      const got = runWith('davit', t.daemon, t.client, [], named, ['id']);
      if (runs === undefined) {
        assert.notEqual(got.status, 0);
        assert.equal(got.stdout, '', 'it ran');
      } else assert.match(got.stdout, runs);
    });
  }

  for (const [what, user] of [
    ['(uid_t)-1', { uid: 4294967295, gid: 0 }],
    ['a uid above 32 bits', { uid: 4294967296, gid: 0 }],
    ['a negative uid', { uid: -1, gid: 0 }],
    ['(gid_t)-1', { uid: 0, gid: 4294967295 }],
    ['a group above 32 bits', { uid: 1000, gid: 1000, additionalGids: [4294967296] }],
  ] as const) {
    it(`CVE-2026-30892: ${what} in a spec is refused`, async function () {
      davitOnly(this, t.target, 'runc 1.1.5 leaves an id of all bits as it is');
      const { refused, stdout } = await attempt(t.client, image, ['id'], { user });
      assert.match(refused ?? stdout, /process\.user\.(uid|gid|additionalGids)/);
    });
  }

  it('CVE-2023-25173: the primary group counts, and none of the daemon', async () => {
    const options = { user: { uid: 1000, gid: 1000, additionalGids: [1000, 2000] } };
    // What a setgid program, or the process itself, cannot get rid of by taking another group.
    const script = ['sh', '-c', "id -G; sed -n 's/^Groups:.//p' /proc/self/status; cat /denied"];
    const groups = '1000 2000\n1000 2000 \n';
    const first = await run(t.client, image, script, options);
    assert.deepEqual([first.stdout, first.status], [groups, 1]);
    const holder = await startContainer(t.client, image, ['sleep', '1000']);
    try {
      assert.equal((await exec(t.client, holder, script, options)).stdout, groups);
      const none = { user: { uid: 1000, gid: 7 } };
      assert.equal((await exec(t.client, holder, ['id', '-G'], none)).stdout, '7\n');
    } finally {
      await kill(t.client, holder);
    }
    if (t.target === 'davit') {
      const { stdout } = runWith('davit', t.daemon, t.client, ['--user', 'user'], image, script);
      assert.equal(stdout, groups);
    }
  });

  it('CVE-2022-24769: no inheritable and no ambient capability, in run and exec', async () => {
    const script = ['sh', '-c', 'grep -e CapInh -e CapAmb /proc/self/status'];
    const none = 'CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n';
    const holder = await startContainer(t.client, image, ['sleep', '1000']);
    try {
      for (const user of [
        { uid: 0, gid: 0 },
        { uid: 1000, gid: 1000 },
      ]) {
        assert.equal((await run(t.client, image, script, { user })).stdout, none);
        assert.equal((await exec(t.client, holder, script, { user })).stdout, none);
      }
    } finally {
      await kill(t.client, holder);
    }
    for (const program of t.target === 'davit' ? (['davit', 'ctr'] as const) : (['ctr'] as const)) {
      for (const flags of [[], ['--cap-add', 'CAP_NET_ADMIN'], ['--privileged']])
        assert.equal(runWith(program, t.daemon, t.client, flags, image, script).stdout, none, program);
    }
  });

  for (const [what, entries] of [
    ['a FIFO', (name: string): TarEntry[] => [{ name, type: 'fifo' }]],
    ['/dev/zero', (name: string): TarEntry[] => [{ name, type: 'char', device: [1, 5] }]],
    ['a link to /dev/zero', (name: string): TarEntry[] => [{ name, type: 'symlink', target: '/dev/zero' }]],
    ['a folder', (name: string): TarEntry[] => [{ name, type: 'directory' }]],
  ] as const) {
    it(`CVE-2026-47262: passwd and group are ${what}`, async function () {
      davitOnly(this, t.target, 'containerd does not have this client');
      const evil = evilImage(`files-${what.replaceAll(/\W/g, '-')}`, [
        ...entries('etc/passwd'),
        ...entries('etc/group'),
      ]);
      await putImage(t.client, evil);
      const began = performance.now();
      // No HOME is given: the executor looks for one, and the client for the user's groups.
      assert.equal((await run(t.client, evil, ['env'])).stdout.split('\n')[1], 'HOME=/');
      // Nothing in the container may look into the files, or it would never end.
      runWith('davit', t.daemon, t.client, ['--user', 'user'], evil, ['true']);
      runWith('davit', t.daemon, t.client, ['--user', '1000'], evil, ['true']);
      assert.ok(performance.now() - began < PATIENCE_MS);
    });
  }

  it('CVE-2026-47262: a huge passwd file costs neither time nor memory', async function () {
    davitOnly(this, t.target, 'runc 1.1.5 cannot execute anything then');
    const evil = evilImage('files-huge', [sparse('etc/passwd'), sparse('etc/group')]);
    await putImage(t.client, evil);
    const holder = await startContainer(t.client, evil, ['sh', '-c', 'sleep 1000']);
    try {
      await exec(t.client, holder, ['dd', 'if=/dev/null', 'of=/big', 'bs=1', `seek=${GIGABYTES}`]);
      const began = performance.now();
      const { stdout } = await exec(t.client, holder, ['sh', '-c', 'echo $HOME; stat -c %s /big']);
      assert.match(stdout, new RegExp(`^/?\n${GIGABYTES}\n$`));
      assert.ok(performance.now() - began < PATIENCE_MS / 4);
    } finally {
      await kill(t.client, holder);
    }
  });

  it('CVE-2024-9676: passwd and group are links to files of the host', async () => {
    const canary = createCanary();
    const host = path.join(canary.directory, 'passwd');
    writeFileSync(host, 'stolen:x:4321:4321::/stolen:/bin/sh\n');
    try {
      for (const target of [host, `../../../../../..${host}`]) {
        const evil = evilImage('files-link', [
          { name: 'etc/passwd', type: 'symlink', target },
          { name: 'etc/group', type: 'symlink', target },
        ]);
        const got = await attempt(t.client, evil, ['env'], { user: { uid: 4321, gid: 4321 } });
        assert.doesNotMatch(got.stdout, /stolen/);
        if (t.target !== 'davit') continue;
        const named = runWith('davit', t.daemon, t.client, ['--user', 'stolen'], evil, ['id']);
        assert.notEqual(named.status, 0, named.stdout);
        assert.equal(named.stdout, '');
      }
    } finally {
      canary.remove();
    }
  });

  it('CVE-2022-4318: a line break in HOME adds no user', async () => {
    const env = ['HOME=/x\nevil:x:0:0::/:/bin/sh', 'USER=evil\nroot::0:0::/:/bin/sh'];
    const got = await attempt(t.client, image, ['cat', '/etc/passwd'], { env, user: { uid: 5555, gid: 5555 } });
    assert.equal(got.stdout, PASSWD);
  });
});
