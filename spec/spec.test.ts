import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { capabilitiesOfMask, capabilityName } from './capabilities.ts';
import { defaultSpec } from './default.ts';
import { mergeEnvironment, parseEnvironmentFile } from './environment.ts';
import { applyImageConfig, inheritedLabels } from './image.ts';
import { jsonText, parseJson } from './json.ts';
import { parseMount } from './mounts.ts';
import { parseIdMapping, shareWithHost, useHostNetwork, useNamespace } from './namespaces.ts';
import { addCapabilities, dropCapabilities, makePrivileged } from './privileges.ts';
import { defaultSeccomp } from './seccomp.ts';
import { additionalGids, processUser, resolveUser, type UserFiles } from './users.ts';

const PASSWD =
  'root:x:0:0:root:/root:/bin/sh\n# comment\nalice:x:1000:1001::/home/alice:/bin/sh\n4294967296:x:7:7::/:/bin/sh\nbad:x:99999999999:0::/:/\n';
const GROUP = 'root:x:0:\nwheel:x:10:root,alice\nvideo:x:27:alice\nalice:x:1001:\n';
const files: UserFiles = { passwd: () => Promise.resolve(PASSWD), group: () => Promise.resolve(GROUP) };
const none: UserFiles = { passwd: () => Promise.resolve(''), group: () => Promise.resolve('') };

describe('spec: users', () => {
  for (const [text, uid, gid] of [
    ['0', 0, 0],
    ['1000', 1000, 1001],
    ['alice', 1000, 1001],
    ['alice:video', 1000, 27],
    ['5:6', 5, 6],
    ['2147483647', 2147483647, 0],
  ] as const) {
    it(`resolves ${text}`, async () => assert.deepEqual(await resolveUser(text, files), { uid, gid }));
  }
  for (const text of [
    '',
    ':1',
    '2147483648',
    '4294967296',
    '-1',
    '1:4294967296',
    '0x0',
    'bob',
    'alice:nobody',
    'bad',
    'a:b:c',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, async () => assert.rejects(resolveUser(text, files)));
  }
  it('puts the primary group before the supplementary ones', async () => {
    assert.deepEqual(await additionalGids(1000, 1001, files), [1001, 10, 27]);
    assert.deepEqual(await processUser('', files), { uid: 0, gid: 0, additionalGids: [0, 10] });
    assert.deepEqual(await processUser('12', none), { uid: 12, gid: 0, additionalGids: [0] });
  });
});

describe('spec: process', () => {
  it('takes the image for what nobody asked', async () => {
    const spec = defaultSpec('ns', 'id');
    spec.process = { user: { uid: 9, gid: 9 }, cwd: '/', env: ['A=mine', 'B=2'] };
    await applyImageConfig(
      spec,
      { Env: ['PATH=/bin', 'A=image'], Entrypoint: ['/e'], Cmd: ['c'], WorkingDir: '/w', User: 'alice' },
      files,
    );
    assert.deepEqual(spec.process?.env, ['PATH=/bin', 'A=mine', 'B=2']);
    assert.deepEqual(spec.process?.args, ['/e', 'c']);
    assert.equal(spec.process?.cwd, '/w');
    assert.equal(spec.process?.user.uid, 1000);
  });

  it('merges environments and reads their files', () => {
    assert.deepEqual(mergeEnvironment(['A=1', 'B=2'], ['B=', 'A', 'C=a=b']), ['B=', 'C=a=b']);
    assert.deepEqual(parseEnvironmentFile('A=1\r\n\n# no\n  B=two words\n'), ['A=1', 'B=two words']);
  });

  it('does not inherit labels that mean something to the daemon', () => {
    const labels = { 'containerd.io/restart.loguri': 'binary:///evil', 'io.cri-containerd.image': 'x', mine: '1' };
    assert.deepEqual(inheritedLabels({ Labels: labels }), { mine: '1' });
  });

  it('adds and drops capabilities, never inheritable ones', () => {
    const spec = defaultSpec('ns', 'id');
    addCapabilities(spec, ['NET_ADMIN', 'cap_sys_time']);
    dropCapabilities(spec, ['CAP_CHOWN']);
    const { bounding, effective, permitted, inheritable } = spec.process?.capabilities ?? {};
    assert.ok(
      bounding?.includes('CAP_NET_ADMIN') && bounding.includes('CAP_SYS_TIME') && !bounding.includes('CAP_CHOWN'),
    );
    assert.deepEqual([effective, permitted, inheritable], [bounding, bounding, undefined]);
    dropCapabilities(spec, ['ALL']);
    assert.deepEqual(spec.process?.capabilities?.bounding, []);
    assert.throws(() => capabilityName('CAP_NO_SUCH'));
    assert.deepEqual(capabilitiesOfMask('3'), ['CAP_CHOWN', 'CAP_DAC_OVERRIDE']);
  });

  it('hides what tells of the machine', () => {
    const thermal = '/sys/devices/system/cpu/cpu0/thermal_throttle';
    const names = 'acpi asound interrupts kcore keys latency_stats timer_list timer_stats sched_debug scsi';
    assert.deepEqual(defaultSpec('ns', 'id', [thermal]).linux?.maskedPaths, [
      ...names.split(' ').map((name) => `/proc/${name}`),
      '/sys/firmware',
      '/sys/devices/virtual/powercap',
      thermal,
    ]);
    assert.deepEqual(
      defaultSpec('ns', 'id').linux?.readonlyPaths,
      'bus fs irq sys sysrq-trigger'.split(' ').map((name) => `/proc/${name}`),
    );
  });

  it('makes privileged containers', () => {
    const spec = defaultSpec('ns', 'id');
    makePrivileged(spec, ['CAP_SYS_ADMIN']);
    assert.deepEqual(spec.linux?.maskedPaths, []);
    assert.deepEqual(spec.linux?.resources?.devices, [{ allow: true, access: 'rwm' }]);
    assert.ok(spec.mounts?.find(({ type }) => type === 'sysfs')?.options?.includes('rw'));
  });
});

describe('spec: namespaces and mounts', () => {
  it('joins, makes and shares', () => {
    const spec = defaultSpec('ns', 'id');
    useNamespace(spec, 'network', '/proc/1/ns/net');
    useNamespace(spec, 'cgroup');
    shareWithHost(spec, 'pid');
    assert.deepEqual(spec.linux?.namespaces, [
      { type: 'ipc' },
      { type: 'uts' },
      { type: 'mount' },
      { type: 'network', path: '/proc/1/ns/net' },
      { type: 'cgroup' },
    ]);
    assert.throws(() => useNamespace(spec, 'net'));
    useHostNetwork(spec);
    assert.ok(!spec.linux?.namespaces?.some(({ type }) => type === 'network'));
    assert.ok(spec.mounts?.some(({ destination }) => destination === '/etc/resolv.conf'));
  });

  it('reads mounts and id mappings', () => {
    assert.deepEqual(parseMount('type=bind,src=/a=b,dst=/c,options=rbind:ro'), {
      type: 'bind',
      source: '/a=b',
      destination: '/c',
      options: ['rbind', 'ro'],
    });
    for (const bad of ['', 'type=bind', 'dst=relative', 'dst=/x,what=1']) assert.throws(() => parseMount(bad));
    assert.deepEqual(parseIdMapping('0:100000:65536'), { containerID: 0, hostID: 100000, size: 65536 });
    for (const bad of ['', '0:1', '0:1:x', '0:1:4294967296']) assert.throws(() => parseIdMapping(bad));
  });
});

describe('spec: seccomp', () => {
  const allowed = (capabilities: string[], architecture = 'x64') => {
    const rules = defaultSeccomp(capabilities, architecture).syscalls ?? [];
    return new Set(
      rules
        .filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined)
        .flatMap(({ names }) => names),
    );
  };

  it('keeps the dangerous calls out', () => {
    const calls = allowed([]);
    for (const call of [
      'io_uring_setup',
      'keyctl',
      'add_key',
      'userfaultfd',
      'bpf',
      'mount',
      'unshare',
      'setns',
      'kexec_load',
      'clone',
      'clone3',
      'socket',
      'perf_event_open',
      'open_by_handle_at',
    ]) {
      assert.ok(!calls.has(call), call);
    }
    for (const call of ['read', 'openat2', 'execve', 'futex', 'getrandom']) assert.ok(calls.has(call), call);
  });

  it('opens what a capability is for', () => {
    const admin = allowed(['CAP_SYS_ADMIN']);
    for (const call of ['mount', 'unshare', 'setns', 'clone', 'clone3', 'bpf']) assert.ok(admin.has(call), call);
    assert.ok(allowed(['CAP_SYS_TIME']).has('clock_settime'));
    assert.ok(!allowed(['CAP_SYS_TIME']).has('mount'));
  });

  it('answers clone3 with ENOSYS and bounds clone and socket by their arguments', () => {
    const rules = defaultSeccomp([], 'x64').syscalls ?? [];
    assert.equal(rules.find(({ names }) => names.includes('clone3'))?.errnoRet, 38);
    assert.equal(rules.find(({ names }) => names.includes('clone'))?.args?.[0]?.op, 'SCMP_CMP_MASKED_EQ');
    const families = rules.filter(({ names }) => names.includes('socket')).map(({ args }) => args?.[0]);
    // As the kernel compares: the argument under the mask. What is above its 32 bits, socket() does not see.
    const opens = (family: bigint) =>
      families.some((rule) => (family & BigInt(rule?.value ?? 0)) === BigInt(rule?.valueTwo ?? -1));
    const all = Array.from({ length: 64 }, (_, family) => family);
    assert.deepEqual(
      all.filter((family) => !opens(BigInt(family))),
      [38, 40],
    );
    for (const above of [1n << 32n, 1n << 63n]) {
      assert.ok(!opens(above + 38n) && !opens(above + 40n));
      assert.ok(opens(above + 2n));
    }
  });

  it('names the architectures that the kernel runs', () => {
    assert.ok(defaultSeccomp([], 'x64').architectures?.includes('SCMP_ARCH_X86'));
    assert.ok(defaultSeccomp([], 'arm64').architectures?.includes('SCMP_ARCH_AARCH64'));
  });
});

describe('spec: json', () => {
  it('keeps every number exact', () => {
    const text =
      '{"limit":9223372036854771712,"small":-1,"float":1.5,"list":[18446744073709551615],"text":"9223372036854771712"}';
    assert.equal(jsonText(parseJson(text)), text);
  });
});
