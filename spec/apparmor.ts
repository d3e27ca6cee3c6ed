// The default AppArmor profile, as text for apparmor_parser.
//
// A container may do what its capabilities, mounts and seccomp filter allow, but not change the kernel
// through /proc and /sys, whatever is writable there, nor mount anything.

/** Below /proc: processes and what is a namespace's own stay writable. */
const PROC_WRITES = [
  '[^0-9s]**',
  's[^ey]**',
  'sy[^s]**',
  'sysrq-trigger',
  'sys/[^k]**',
  'sys/kernel/[^s]**',
  'sys/kernel/s[^h]**',
  'sys/kernel/sh[^m]**',
];
const PROC_SECRETS = ['kcore', 'kmem', 'mem', 'sysrq-trigger', 'timer_list', 'keys'];
/** Below /sys: all but cgroups. */
const SYS_WRITES = ['[^f]**', 'f[^s]**', 'fs/[^c]**', 'fs/c[^g]**', 'fs/cg[^r]**'];
const SYS_SECRETS = ['firmware/**', 'kernel/security/**', 'devices/virtual/powercap/**'];

/** Throws for a name that a profile cannot have. */
export function defaultApparmor(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    throw new Error(`AppArmor profile "${name}": must be letters, digits, ".", "_" and "-"`);
  const deny = (root: string, paths: readonly string[], what: string): string =>
    paths.map((path) => `  deny ${root}/${path} ${what},\n`).join('');
  return `#include <tunables/global>

profile ${name} flags=(attach_disconnected,mediate_deleted) {
  #include <abstractions/base>

  capability,
  file,
  network,
  umount,
  deny mount,

  signal (receive) peer=unconfined,
  signal (send, receive) peer=${name},
  ptrace (trace, read, tracedby, readby) peer=${name},

${deny('@{PROC}', PROC_WRITES, 'wkl')}${deny('@{PROC}', PROC_SECRETS, 'rwkl')}
${deny('/sys', SYS_WRITES, 'wkl')}${deny('/sys', SYS_SECRETS, 'rwkl')}}
`;
}
