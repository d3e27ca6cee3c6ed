import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { defaultApparmor } from './apparmor.ts';

/** As apparmor.d(5) reads these patterns: `[...]` is one character, `**` any number of any. */
function denies(profile: string, path: string, access: string): boolean {
  return profile.split('\n').some((line) => {
    const rule = /^ {2}deny (\/\S+|@\{PROC\}\S+) (\w+),$/.exec(line);
    if (rule?.[1] === undefined || !rule[2]?.includes(access)) return false;
    const pattern = rule[1].replace('@{PROC}', '/proc').replaceAll('.', '\\.').replaceAll('**', '.*');
    return new RegExp(`^${pattern}$`).test(path);
  });
}

describe('spec: the default AppArmor profile', () => {
  const profile = defaultApparmor('davit-default');

  it('is named as asked', () => {
    assert.match(profile, /^profile davit-default flags=\(attach_disconnected,mediate_deleted\) \{$/m);
    assert.match(profile, /peer=davit-default,$/m);
    for (const bad of ['', 'a b', 'x{', '../x', '-x']) assert.throws(() => defaultApparmor(bad), /must be letters/);
  });

  it('keeps the kernel from being written to', () => {
    for (const path of [
      '/proc/sysrq-trigger',
      '/proc/sys/kernel/core_pattern',
      '/proc/sys/kernel/shadow',
      '/proc/sys/vm/overcommit_memory',
      '/proc/sys/net/ipv4/ip_forward',
      '/proc/irq/1/smp_affinity',
      '/proc/mtrr',
      '/proc/slabinfo',
      '/sys/kernel/uevent_helper',
      '/sys/fs/selinux/enforce',
      '/sys/firmware/efi/vars/x',
      '/sys/module/x/parameters/y',
    ])
      assert.ok(denies(profile, path, 'w'), path);
    for (const path of ['/proc/kcore', '/proc/keys', '/sys/firmware/dmi/x', '/sys/devices/virtual/powercap/a/b'])
      assert.ok(denies(profile, path, 'r'), path);
  });

  it("leaves alone what is a process's or a namespace's own", () => {
    for (const path of [
      '/proc/1/oom_score_adj',
      '/proc/12/task/13/comm',
      '/proc/self/attr/exec',
      '/proc/sys/kernel/shmmax',
      '/sys/fs/cgroup/memory/x',
      '/etc/passwd',
    ])
      assert.ok(!denies(profile, path, 'w'), path);
    assert.ok(!denies(profile, '/proc/cpuinfo', 'r') && !denies(profile, '/sys/block/vda/size', 'r'));
  });
});
