// What a runtime spec asks for is what the process finds.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { createContainer, createTask, removeContainer, run, startContainer } from '../harness/container.ts';
import { removeTask } from '../harness/cleanup.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';
import { processSpec, type SpecOptions } from '../harness/spec.ts';
import { putImage } from '../harness/store.ts';

describe('the runtime spec', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  async function lines(script: string, options: SpecOptions = {}): Promise<string[]> {
    const { stdout, stderr, status } = await run(t.client, image, ['sh', '-c', script], options);
    assert.equal(status, 0, stderr);
    return stdout.trimEnd().split('\n');
  }
  const processWith = (args: readonly string[], fields: object): SpecOptions => ({
    overrides: { process: { ...processSpec(args), ...fields } },
  });

  it('sets user, groups and umask', async () => {
    const user = { uid: 1234, gid: 2345, additionalGids: [10, 20], umask: 0o27 };
    const [ids, mask] = await lines('echo $(id -u) $(id -g) $(id -G); umask', { user });
    assert.deepEqual([ids, mask], ['1234 2345 2345 10 20', '0027']);
  });

  it('sets environment, directory and host name', async () => {
    const found = await lines('echo "$GREETING"; pwd; hostname', {
      env: ['GREETING=a=b c'],
      cwd: '/tmp',
      hostname: 'inside',
    });
    assert.deepEqual(found, ['a=b c', '/tmp', 'inside']);
  });

  it('makes a missing working directory', async () => {
    assert.deepEqual(await lines('pwd', { cwd: '/not/there/yet' }), ['/not/there/yet']);
  });

  it('sets resource limits', async () => {
    const args = ['sh', '-c', 'ulimit -n; ulimit -Hn; ulimit -c'];
    const rlimits = [
      { type: 'RLIMIT_NOFILE', soft: 100, hard: 200 },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ];
    const { stdout } = await run(t.client, image, args, processWith(args, { rlimits }));
    assert.equal(stdout, '100\n200\n0\n');
  });

  it('sets capabilities in every set', async () => {
    const args = ['grep', '^Cap', '/proc/self/status'];
    const capabilities = {
      bounding: ['CAP_CHOWN', 'CAP_KILL'],
      effective: ['CAP_CHOWN'],
      permitted: ['CAP_CHOWN', 'CAP_KILL'],
      inheritable: [],
      ambient: [],
    };
    const { stdout } = await run(t.client, image, args, processWith(args, { capabilities }));
    const values = Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/:\s+/) as [string, string]),
    );
    // Executing a program as root raises what the bounding set allows.
    assert.deepEqual(
      [values['CapInh'], values['CapBnd'], values['CapAmb']],
      ['0000000000000000', '0000000000000021', '0000000000000000'],
    );
  });

  it('an unprivileged user has no capabilities', async () => {
    const [effective] = await lines('grep ^CapEff /proc/self/status | cut -f2', { user: { uid: 1000, gid: 1000 } });
    assert.equal(effective, '0000000000000000');
  });

  it('sets no_new_privs and oom_score_adj', async () => {
    const args = ['sh', '-c', 'grep ^NoNewPrivs /proc/self/status | cut -f2; cat /proc/self/oom_score_adj'];
    const { stdout } = await run(t.client, image, args, processWith(args, { noNewPrivileges: true, oomScoreAdj: 500 }));
    assert.equal(stdout, '1\n500\n');
  });

  it('copes where the machine lets no limit be raised', async function () {
    davitOnly(this, t.target, 'containerd and runc fail without CAP_SYS_RESOURCE');
    const args = ['echo', 'runs'];
    const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 1 << 20, hard: 1 << 24 }];
    const { stdout } = await run(t.client, image, args, processWith(args, { oomScoreAdj: -999, rlimits }));
    assert.equal(stdout, 'runs\n');
  });

  it('gives namespaces of its own', async () => {
    const types = ['pid', 'net', 'ipc', 'uts', 'mnt'];
    const found = await lines(types.map((type) => `readlink /proc/self/ns/${type}`).join('; '));
    for (const [index, type] of types.entries())
      assert.notEqual(found[index], readlinkSync(`/proc/self/ns/${type}`), type);
    assert.deepEqual(await lines('echo $$'), ['1']);
  });

  it('joins namespaces by path', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    const pid = (await t.client.tasks.Get({ container_id: id })).process?.pid ?? 0;
    const namespaces = [
      { type: 'network', path: `/proc/${pid}/ns/net` },
      { type: 'ipc', path: `/proc/${pid}/ns/ipc` },
      { type: 'uts', path: `/proc/${pid}/ns/uts` },
      { type: 'pid', path: `/proc/${pid}/ns/pid` },
      { type: 'mount' },
    ];
    const found = await lines('for n in net ipc uts pid; do readlink /proc/self/ns/$n; done', {
      linux: { namespaces },
    });
    assert.deepEqual(
      found,
      ['net', 'ipc', 'uts', 'pid'].map((type) => readlinkSync(`/proc/${pid}/ns/${type}`)),
    );
    await removeTask(t.client, id);
  });

  it('without a namespace it is in that of the host', async () => {
    const namespaces = [{ type: 'pid' }, { type: 'mount' }, { type: 'ipc' }];
    const mounts: object[] = [];
    const [net] = await lines('readlink /proc/self/ns/net', { linux: { namespaces }, mounts });
    assert.equal(net, readlinkSync('/proc/self/ns/net'));
  });

  it('maps users into a user namespace', async () => {
    const mapping = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const namespaces = [
      { type: 'pid' },
      { type: 'ipc' },
      { type: 'uts' },
      { type: 'mount' },
      { type: 'network' },
      { type: 'user' },
    ];
    const options: SpecOptions = { linux: { namespaces, uidMappings: mapping, gidMappings: mapping } };
    const id = await createContainer(t.client, image, ['sleep', '1000'], options);
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
    // The root directory must belong to the mapped root for mount points to be made.
    const upper = mounts[0]?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length) ?? '';
    execFileSync('chown', ['100000:100000', upper]);
    const { pid } = await t.client.tasks.Create({ container_id: id, rootfs: mounts });
    await t.client.tasks.Start({ container_id: id });
    assert.match(readFileSync(`/proc/${pid}/uid_map`, 'utf8'), /^\s*0\s+100000\s+65536$/m);
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\s+100000\s/m);
    await removeTask(t.client, id);
  });

  it('mounts with all kinds of options', async () => {
    const source = mkdtempSync('/tmp/davit-bind-');
    mkdirSync(`${source}/folder`);
    writeFileSync(`${source}/file`, 'from the host\n');
    const mounts = [
      { destination: '/bound', type: 'bind', source: `${source}/folder`, options: ['rbind', 'rw', 'nosuid', 'nodev'] },
      { destination: '/sealed', type: 'bind', source: `${source}/folder`, options: ['bind', 'ro'] },
      { destination: '/made/for/a/file', type: 'bind', source: `${source}/file`, options: ['bind', 'ro'] },
      { destination: '/scratch', type: 'tmpfs', source: 'tmpfs', options: ['size=64k', 'mode=1700', 'noexec'] },
      { destination: '/shared', type: 'bind', source: `${source}/folder`, options: ['rbind', 'rslave'] },
    ];
    const found = await lines(
      [
        'touch /bound/written',
        'touch /sealed/x 2>/dev/null || echo sealed',
        'cat /made/for/a/file',
        'stat -c %a /scratch',
        'grep -c "^tmpfs /scratch tmpfs .*noexec.*size=64k" /proc/mounts',
        'grep " /bound " /proc/self/mountinfo | grep -c "nosuid,nodev"',
        'grep " /shared " /proc/self/mountinfo | grep -c "master:" || true',
      ].join('; '),
      { mounts },
    );
    assert.deepEqual(found.slice(0, 5), ['sealed', 'from the host', '1700', '1', '1']);
    assert.ok(existsSync(`${source}/folder/written`));
    rmSync(source, { recursive: true });
  });

  it('never follows a link out of the root when it makes a mount point', async () => {
    const outside = mkdtempSync('/tmp/davit-outside-');
    const id = await createContainer(t.client, image, ['sh', '-c', 'ls /trap/inner && echo mounted'], {
      mounts: [{ destination: '/trap/inner', type: 'tmpfs', source: 'tmpfs', options: [] }],
    });
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
    const upper = mounts[0]?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length) ?? '';
    execFileSync('ln', ['-s', outside, `${upper}/trap`]);
    await createTask(t.client, id).catch(() => undefined);
    assert.ok(!existsSync(`${outside}/inner`), 'a folder was made outside the root');
    await removeTask(t.client, id);
    rmSync(outside, { recursive: true });
  });

  it('makes the root read-only, masks and seals paths', async () => {
    const found = await lines(
      'touch /x 2>/dev/null || echo read-only; cat /proc/kcore 2>/dev/null | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -vc : || true; echo 1 2>/dev/null >/proc/sysrq-trigger || echo sealed',
      { readonlyRoot: true },
    );
    assert.equal(found[0], 'read-only');
    assert.equal(found[1], '0');
    assert.equal(found.at(-1), 'sealed');
  });

  it('sets sysctls of its namespaces, and refuses those of the host', async () => {
    const sysctl = { 'net.ipv4.ip_forward': '1', 'kernel.shm_rmid_forced': '1' };
    const found = await lines('cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced', {
      linux: { sysctl },
    });
    assert.deepEqual(found, ['1', '1']);
    const id = await createContainer(t.client, image, ['true'], { linux: { sysctl: { 'kernel.panic': '1' } } });
    await assert.rejects(createTask(t.client, id), /kernel\.panic/);
  });

  it('brings up the loopback interface', async () => {
    const [found] = await lines("ip addr show lo | grep -o '127.0.0.1/8' || true");
    assert.ok(found === '127.0.0.1/8' || found === '');
  });

  it('gives devices that are asked for, and their permission', async () => {
    const devices = [{ path: '/dev/mine', type: 'c', major: 1, minor: 3, fileMode: 0o640, uid: 5, gid: 6 }];
    const resources = {
      devices: [
        { allow: false, access: 'rwm' },
        { allow: true, type: 'c', major: 1, minor: 3, access: 'rw' },
      ],
    };
    const [found] = await lines('echo x >/dev/mine && stat -c "%a %u %g %t:%T" /dev/mine', {
      linux: { devices, resources },
    });
    assert.equal(found, '640 5 6 1:3');
    const refused = await run(t.client, image, ['sh', '-c', 'mknod /disk b 254 0 && head -c 1 /disk'], {
      linux: { resources },
    });
    assert.notEqual(refused.status, 0);
  });

  it('filters system calls', async () => {
    const seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [
        { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 },
        { names: ['personality'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] },
      ],
    };
    const { stderr, status } = await run(t.client, image, ['mkdir', '/made'], { linux: { seccomp } });
    assert.notEqual(status, 0);
    assert.match(stderr, /No space left/);
    const [mode] = await lines('grep ^Seccomp: /proc/self/status | cut -f2', { linux: { seccomp } });
    assert.equal(mode, '2');
  });

  it('runs hooks in their order, with the state on standard input', async () => {
    const directory = mkdtempSync('/tmp/davit-hooks-');
    const hook = (name: string): object => ({
      path: '/bin/sh',
      args: ['sh', '-c', `cat >${directory}/${name}; echo ${name} >>${directory}/order`],
      env: ['PATH=/usr/bin:/bin'],
    });
    const hooks = {
      prestart: [hook('prestart')],
      createRuntime: [hook('createRuntime')],
      poststart: [hook('poststart')],
      poststop: [hook('poststop')],
    };
    const { status } = await run(t.client, image, ['true'], { overrides: { hooks }, annotations: { 'a.b': 'c' } });
    assert.equal(status, 0);
    assert.deepEqual(readFileSync(`${directory}/order`, 'utf8').trim().split('\n'), [
      'prestart',
      'createRuntime',
      'poststart',
      'poststop',
    ]);
    const state = JSON.parse(readFileSync(`${directory}/createRuntime`, 'utf8')) as Record<string, unknown>;
    assert.equal(typeof state['id'], 'string');
    assert.equal(typeof state['pid'], 'number');
    assert.equal(typeof state['bundle'], 'string');
    assert.deepEqual(state['annotations'], { 'a.b': 'c' });
    rmSync(directory, { recursive: true });
  });

  it('a hook that fails stops the container, and leaves nothing', async () => {
    const hooks = { createRuntime: [{ path: '/bin/false' }] };
    const id = await createContainer(t.client, image, ['true'], { overrides: { hooks } });
    await assert.rejects(createTask(t.client, id), /hook/);
  });

  it('a hook that hangs is ended after its time', async () => {
    const hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '100'], timeout: 1 }] };
    const id = await createContainer(t.client, image, ['true'], { overrides: { hooks } });
    const began = performance.now();
    await assert.rejects(createTask(t.client, id));
    assert.ok(performance.now() - began < 10_000);
  });

  it('is not fooled by a root file system that has links in place of proc, sys and dev', async function () {
    davitOnly(this, t.target, 'runc 1.1 follows a link in place of /dev');
    const outside = mkdtempSync('/tmp/davit-outside-');
    for (const name of ['proc', 'sys', 'dev']) {
      const id = await createContainer(t.client, image, ['ls', '/']);
      const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
      const upper =
        mounts[0]?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length) ?? '';
      execFileSync('sh', ['-c', `rm -rf ${upper}/${name}; ln -s ${outside} ${upper}/${name}`]);
      try {
        await createTask(t.client, id);
        await t.client.tasks.Start({ container_id: id });
        await t.client.tasks.Wait({ container_id: id });
        await removeContainer(t.client, id);
      } catch {
        await removeTask(t.client, id);
      }
      assert.equal(execFileSync('ls', [outside], { encoding: 'utf8' }), '', `/${name} was followed`);
    }
    rmSync(outside, { recursive: true });
  });
});
