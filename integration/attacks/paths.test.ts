// Images whose links point where they should not.
import { strict as assert } from 'node:assert';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createContainer, createTask, type ContainerOptions } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { createStdio } from '../harness/stdio.ts';
import { putImage } from '../harness/store.ts';
import type { TarEntry } from '../harness/tar.ts';
import { attempt, bind, createCanary, evilImage, mountsWithout, tmpfs, type Canary } from './attacker.ts';
import { kill } from './running.ts';

const link = (name: string, target: string): TarEntry => ({ name, type: 'symlink', target });

interface Case {
  readonly id: string;
  readonly what: string;
  readonly entries: (canary: Canary) => readonly TarEntry[];
  readonly options?: (canary: Canary) => ContainerOptions;
  /** Prints what the attacker got. */
  readonly script: string;
  /** Text of a refusal, or of the output of a container that ran as it should. */
  readonly expected: RegExp;
  /** Why Debian's runc 1.1.5 does not withstand it. */
  readonly oldRunc?: string;
}

const up = (canary: string): string => `../../../../../../../../../../..${canary}`;

const CASES: readonly Case[] = [
  {
    id: 'CVE-2021-30465',
    what: 'a mount whose destination is a link to the host',
    entries: ({ outside }) => [link('link', outside), link('climb', up(outside))],
    options: () => ({
      mounts: [tmpfs('/link'), tmpfs('/climb'), tmpfs('/link/a'), tmpfs('/climb/b'), bind('/etc/hostname', '/link/c')],
    }),
    // One that was mounted on the host's folder is not among the container's own.
    script: 'mount | grep -c /outside',
    expected: /^5\n$/,
  },
  {
    id: 'CVE-2019-19921',
    what: '/proc is a link',
    entries: () => [link('proc', '/tmp')],
    script: 'ls /tmp',
    expected: /proc.* is a link, or no directory|must be (mounted on|a directory)|not a directory/,
  },
  {
    id: 'CVE-2023-27561',
    what: '/sys is a link',
    entries: () => [link('sys', 'etc')],
    script: 'ls /etc',
    expected: /sys.* is a link, or no directory|must be (mounted on|a directory)|not a directory/,
  },
  {
    id: 'CVE-2023-28642',
    what: 'a masked path below a linked /proc of a volume',
    entries: () => [],
    options: ({ outside }) => ({ overrides: mountsWithout(['/proc'], [bind(outside, '/proc')]) }),
    script: 'true',
    expected: /only a procfs may be mounted there|cannot be mounted because it is inside \/proc|not of type proc/,
  },
  {
    id: 'CVE-2019-16884',
    what: 'a volume that covers parts of /proc',
    entries: () => [],
    options: ({ outside }) => ({ mounts: [bind(outside, '/proc/self/attr')] }),
    script: 'true',
    expected: /inside a procfs|inside \/proc/,
  },
  {
    id: 'CVE-2025-52881',
    what: 'a volume that reaches /proc by a link',
    entries: () => [link('link', '/proc/sys')],
    options: () => ({ mounts: [tmpfs('/link/net')] }),
    script: 'true',
    expected: /inside a procfs/,
    oldRunc: 'mounts inside its procfs, which it checks by path',
  },
  {
    id: 'CVE-2025-31133',
    what: "what hides a path is the image's /dev/null",
    entries: () => [{ name: 'hidden', content: 'hidden' }],
    options: ({ secret, directory }) => {
      const dev = path.join(directory, 'outside', 'dev');
      mkdirSync(dev);
      symlinkSync(secret, path.join(dev, 'null'));
      return {
        overrides: mountsWithout(['/dev', '/dev/pts', '/dev/shm', '/dev/mqueue'], [bind(dev, '/dev')]),
        linux: { maskedPaths: ['/hidden'] },
      };
    },
    script: 'cat /hidden; stat -c "%t:%T" /hidden',
    expected: /^1:3\n$/,
    oldRunc: 'needs a null device in the container',
  },
  {
    id: 'CVE-2026-41579',
    what: '/dev is a link to the host',
    entries: ({ outside }) => [link('dev', outside)],
    options: () => ({ overrides: mountsWithout(['/dev', '/dev/pts', '/dev/shm', '/dev/mqueue']) }),
    script: 'ls -l /dev/',
    expected: /"\/dev" of the image/,
    oldRunc: 'makes its links in the folder of the host',
  },
  {
    id: 'CVE-2026-47766',
    what: 'a device below a link to the host',
    entries: ({ outside }) => [link('link', up(outside))],
    options: () => ({ linux: { devices: [{ path: '/link/node', type: 'c', major: 1, minor: 3 }] } }),
    script: 'true',
    expected: /device "\/link\/node"/,
    oldRunc: 'makes the device elsewhere in the container',
  },
  {
    id: 'CVE-2024-5154',
    what: 'files that runtimes write are links: mtab, hostname, resolv.conf',
    entries: ({ secret, outside }) => [
      link('etc/mtab', `${outside}/mtab`),
      link('etc/hostname', secret),
      link('etc/resolv.conf', up(secret)),
    ],
    options: () => ({ hostname: 'evil' }),
    script: 'cat /etc/mtab /etc/hostname /etc/resolv.conf; hostname',
    expected: /^evil\n$/,
  },
  {
    id: 'CVE-2025-24965',
    what: 'files that runtimes read from an image are links',
    entries: ({ secret }) => [link('.krun_config.json', secret), link('.krun_vm.json', up(secret))],
    options: () => ({ annotations: { 'run.oci.handler': 'krun' } }),
    script: 'cat /.krun_config.json',
    expected: /^$/,
  },
  {
    id: 'tmpcopyup',
    what: 'a tmpfs that is filled from links to the host',
    entries: ({ secret, directory }) => [
      { name: 'data', type: 'directory' },
      link('data/file', secret),
      link('data/climb', up(secret)),
      link('all', directory),
    ],
    options: () => ({ mounts: [tmpfs('/data', 'tmpcopyup'), tmpfs('/all', 'tmpcopyup')] }),
    script: 'cat /data/file /data/climb; ls -R /all/; readlink /data/file | wc -l',
    expected: /\n1\n$/,
  },
  {
    id: 'working directory',
    what: 'a working directory behind a link is made in the container',
    entries: ({ outside }) => [link('link', outside)],
    options: () => ({ cwd: '/link/made' }),
    script: 'pwd; ls -d /tmp/davit-canary-*/outside/made | wc -l',
    expected: /\n1\n$/,
    oldRunc: 'does not make one behind a link',
  },
];

describe('attacks: paths in an untrusted root file system', function () {
  this.timeout(60_000);
  const t = useDaemon();
  let canary: Canary;

  beforeEach(() => (canary = createCanary()));
  afterEach(() => canary.remove());

  for (const [index, attack] of CASES.entries()) {
    it(`${attack.id}: ${attack.what}`, async function () {
      if (attack.oldRunc !== undefined) davitOnly(this, t.target, `runc 1.1.5 ${attack.oldRunc}`);
      const image = evilImage(`path${index}`, attack.entries(canary));
      const options = attack.options?.(canary) ?? {};
      canary.remember();
      const got = await attempt(t.client, image, ['sh', '-c', attack.script], options);
      const text = got.refused ?? got.stdout;
      assert.match(text, attack.expected, `${text}\n${got.stderr}`);
      assert.ok(!`${got.stdout}${got.stderr}`.includes(canary.text), 'the secret was read');
      canary.check();
    });
  }

  it('CVE-2025-52565: /dev/console is a link', async function () {
    davitOnly(this, t.target, 'runc 1.1.5 does not start it');
    const image = evilImage('console', [{ name: 'dev', type: 'directory' }, link('dev/console', canary.secret)]);
    await putImage(t.client, image);
    const id = await createContainer(t.client, image, ['sh', '-c', 'echo written > /dev/console; ls -l /dev/console'], {
      terminal: true,
      overrides: mountsWithout(['/dev', '/dev/shm', '/dev/mqueue']),
    });
    const stdio = createStdio({ terminal: true });
    const output = stdio.openOutput('stdout');
    try {
      await createTask(t.client, id, stdio.paths, true);
      await t.client.tasks.Start({ container_id: id });
      await t.client.tasks.Wait({ container_id: id });
      await output.ended;
      canary.check();
      assert.match(output.text, /written\r\nc.* \/dev\/console/);
    } finally {
      output.close();
      stdio.remove();
      await kill(t.client, id);
    }
  });
});
