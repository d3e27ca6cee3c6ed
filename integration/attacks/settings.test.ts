// Settings of the machine: sysctls, cgroups, annotations, what /proc and /sys tell.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { run, startContainer } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { putImage } from '../harness/store.ts';
import { attempt, createCanary, evilImage, type Canary } from './attacker.ts';
import { runWith } from './cli.ts';
import { kill } from './running.ts';

const setting = (name: string): string => readFileSync(`/proc/sys/${name}`, 'utf8').trim();
const namespaces = (...types: string[]): object => ({ namespaces: types.map((type) => ({ type })) });

interface SysctlCase {
  readonly what: string;
  readonly sysctl: () => Readonly<Record<string, string>>;
  readonly linux?: object;
  readonly expected: RegExp;
}

// Values are those that the machine has: an attack that succeeds changes nothing.
const NOT_OURS =
  /not a setting of a namespace|not in a separate kernel namespace|sysctl .* (is )?not allowed|needs a namespace|set by the hostname/;
const SYSCTLS: readonly SysctlCase[] = [
  {
    what: 'kernel.core_pattern',
    sysctl: () => ({ 'kernel.core_pattern': setting('kernel/core_pattern') }),
    expected: NOT_OURS,
  },
  { what: 'vm.swappiness', sysctl: () => ({ 'vm.swappiness': setting('vm/swappiness') }), expected: NOT_OURS },
  { what: 'fs.file-max', sysctl: () => ({ 'fs.file-max': setting('fs/file-max') }), expected: NOT_OURS },
  {
    what: 'a name that climbs',
    sysctl: () => ({ 'net/../kernel/core_pattern': setting('kernel/core_pattern') }),
    expected: /not a setting of a namespace|no such file|not a directory/,
  },
  {
    what: 'an absolute name',
    sysctl: () => ({ '/proc/sys/kernel/core_pattern': setting('kernel/core_pattern') }),
    expected: NOT_OURS,
  },
  {
    what: 'a second setting in a value (CVE-2022-0811)',
    sysctl: () => ({ 'kernel.shm_rmid_forced': `1+kernel.core_pattern=${setting('kernel/core_pattern')}` }),
    expected: /kernel.shm_rmid_forced|invalid argument/,
  },
  {
    what: 'a line break in a value',
    sysctl: () => ({ 'kernel.shm_rmid_forced': `1\nkernel.core_pattern=${setting('kernel/core_pattern')}` }),
    expected: /kernel.shm_rmid_forced|invalid argument/,
  },
  {
    what: "the host's network",
    sysctl: () => ({ 'net.ipv4.ip_forward': setting('net/ipv4/ip_forward') }),
    linux: namespaces('pid', 'ipc', 'uts', 'mount'),
    expected: /needs a namespace|not allowed in( the)? host/,
  },
  {
    what: "the host's ipc",
    sysctl: () => ({ 'kernel.shmmax': setting('kernel/shmmax') }),
    linux: namespaces('pid', 'network', 'uts', 'mount'),
    expected: /needs a namespace|not allowed in( the)? host/,
  },
  {
    what: "the host's network by its path",
    sysctl: () => ({ 'net.ipv4.ip_forward': setting('net/ipv4/ip_forward') }),
    linux: {
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'network', path: `/proc/${process.pid}/ns/net` },
      ],
    },
    expected: /needs a namespace|not allowed in( the)? host/,
  },
];

const CGROUP_MOUNT = (...options: string[]): object => ({
  destination: '/sys/fs/cgroup',
  type: 'cgroup',
  source: 'cgroup',
  options: ['nosuid', 'noexec', 'nodev', ...options],
});

const ESCAPE = `
  for f in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release -o -name cgroup.procs -o -name tasks); do
    (echo /tmp/evil > $f) 2>/dev/null && echo WROTE $f
  done
  for d in $(find /sys/fs/cgroup -maxdepth 2 -type d); do mkdir $d/evil 2>/dev/null && echo MADE $d/evil; done
  mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo REMOUNTED
  echo tried $(find /sys/fs/cgroup -name cgroup.procs | wc -l)`;

describe('attacks: settings of the machine', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const image = evilImage('settings');
  let canary: Canary;

  beforeEach(() => (canary = createCanary()));
  afterEach(() => {
    canary.check();
    canary.remove();
  });

  for (const { what, sysctl, linux, expected } of SYSCTLS) {
    it(`sysctl: ${what}`, async function () {
      if (what.startsWith('a line break')) davitOnly(this, t.target, 'runc 1.1.5 writes the first line');
      const before = setting('kernel/core_pattern');
      const { refused, stdout } = await attempt(t.client, image, ['true'], { linux: { ...linux, sysctl: sysctl() } });
      assert.match(refused ?? `it ran: ${stdout}`, expected);
      assert.equal(setting('kernel/core_pattern'), before);
    });
  }

  for (const [what, linux] of [
    ['with a cgroup namespace', namespaces('pid', 'ipc', 'uts', 'mount', 'network', 'cgroup')],
    ['without one', {}],
  ] as const) {
    it(`CVE-2023-25809, release_agent: read-only cgroups ${what}`, async function () {
      davitOnly(this, t.target, 'runc 1.1.5 answers otherwise');
      const { stdout, refused } = await attempt(t.client, image, ['sh', '-c', ESCAPE], {
        linux,
        mounts: [CGROUP_MOUNT('ro')],
      });
      assert.match(refused ?? stdout, /^tried [1-9]\d*\n$/);
    });
  }

  for (const cgroupsPath of [
    '/a/../../evil',
    '../evil',
    '/..',
    '/',
    '..',
    './..',
    '/a/b/../../../x',
    'x:y',
    'x:y:z:w',
  ]) {
    it(`a cgroup at ${cgroupsPath}`, async function () {
      davitOnly(this, t.target, 'runc cuts the path to what is inside its hierarchy');
      const { refused } = await attempt(t.client, image, ['true'], { linux: { cgroupsPath } });
      assert.match(refused ?? 'it ran', /linux\.cgroupsPath/);
    });
  }

  it('CVE-2025-47291: the cgroup of a container with a user namespace is the one asked for', async () => {
    await putImage(t.client, image);
    const mapping = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const cgroupsPath = `/${t.client.namespace}/pod-of-it`;
    const id = await startContainer(t.client, image, ['sleep', '1000'], {
      linux: {
        ...namespaces('pid', 'ipc', 'uts', 'mount', 'network', 'user', 'cgroup'),
        uidMappings: mapping,
        gidMappings: mapping,
        cgroupsPath,
      },
    });
    try {
      const { process: init } = await t.client.tasks.Get({ container_id: id });
      const lines = readFileSync(`/proc/${init?.pid ?? 0}/cgroup`, 'utf8')
        .trim()
        .split('\n');
      // Hierarchies that this machine mounts nowhere have no path to be in.
      const elsewhere = lines.filter((line) => !line.endsWith(`:${cgroupsPath}`) && !line.endsWith(':/'));
      assert.deepEqual(elsewhere, []);
      assert.ok(
        lines.some((line) => /:(memory|):/.test(line) && line.endsWith(cgroupsPath)),
        lines.join('\n'),
      );
    } finally {
      await kill(t.client, id);
    }
  });

  it('CVE-2023-6476, CVE-2024-3154, CVE-2026-53492: annotations that mean something to some runtime', async () => {
    const { outside, secret } = canary;
    const annotations = {
      'run.oci.hooks.stdout': `${outside}/stdout`,
      'run.oci.hooks.stderr': `${outside}/stderr`,
      'run.oci.seccomp_bpf_file': secret,
      'run.oci.mount_context_type': 'rootcontext',
      'run.oci.handler': '/bin/sh',
      'run.oci.keep_original_groups': '1',
      'run.oci.delegate-cgroup': '../../evil',
      'org.systemd.property.ExecStopPost': `["/bin/touch ${outside}/systemd"]`,
      'org.systemd.property.TimeoutStopUSec': "uint64 1'; touch /tmp/x",
      'org.criu.config': secret,
      bundle: outside,
      'io.kubernetes.cri-o.UnifiedCgroup': 'memory.max=max',
      'cdi.k8s.io/evil': 'vendor.example/device=all',
      'io.containerd.runc.v2.group': '../../evil',
      'containerd.io/restart.loguri': `binary:///bin/touch?${outside}/logger`,
    };
    const script =
      'id -G; ls /dev; grep -c . /proc/self/mountinfo; cat /proc/self/cgroup | cut -d: -f3 | sort -u | wc -l';
    const plain = await run(t.client, await placed(), ['sh', '-c', script]);
    const evil = await run(t.client, image, ['sh', '-c', script], { annotations });
    assert.deepEqual([evil.stdout, evil.status], [plain.stdout, plain.status]);
  });

  const placed = async (): Promise<typeof image> => {
    await putImage(t.client, image);
    return image;
  };

  it('GHSA-7ww5: what /proc and /sys tell of the machine', async function () {
    davitOnly(this, t.target, 'containerd does not have this client');
    const script = `
      for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug /proc/latency_stats; do
        [ ! -e $f ] || [ -z "$(head -c 1 $f 2>/dev/null | od)" ] || [ "$(stat -c %t:%T $f)" = 1:3 ] || echo READ $f
      done
      for d in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
        [ -z "$(ls -A $d 2>/dev/null)" ] || echo LISTED $d
      done
      for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/irq/default_smp_affinity; do
        [ -e $f ] && (echo > $f) 2>/dev/null && echo WROTE $f
      done
      ls /sys/devices/system/cpu/cpu0/thermal_throttle 2>/dev/null
      echo tried`;
    await placed();
    assert.equal(runWith('davit', t.daemon, t.client, [], image, ['sh', '-c', script]).stdout, 'tried\n');
    assert.equal(
      runWith('davit', t.daemon, t.client, ['--user', '1000'], image, ['sh', '-c', script]).stdout,
      'tried\n',
    );
  });

  it('CVE-2021-43784: maps and mounts beyond all measure', async () => {
    await placed();
    const many = Array.from({ length: 5000 }, (_, at) => ({ containerID: at, hostID: 100_000 + at, size: 1 }));
    const maps = await attempt(t.client, image, ['id', '-u'], {
      linux: { ...namespaces('pid', 'ipc', 'uts', 'mount', 'network', 'user'), uidMappings: many, gidMappings: many },
    });
    assert.ok(maps.refused !== undefined && maps.refused.length < 4000, maps.stdout);
    const long = await attempt(t.client, image, ['true'], {
      mounts: [{ type: 'tmpfs', source: 'tmpfs', destination: `/${'d/'.repeat(5000)}`, options: ['mode=755'] }],
    });
    assert.ok(long.refused !== undefined && long.refused.length < 40_000);
    // The kernel may take such a size or not.
    await attempt(t.client, image, ['true'], {
      mounts: [{ type: 'tmpfs', source: 'tmpfs', destination: '/m', options: [`size=${'1'.repeat(100_000)}`] }],
    });
    assert.equal((await run(t.client, image, ['true'])).status, 0);
  });
});
