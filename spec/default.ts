// The spec that a container gets before anybody asks for anything.
import { DEFAULT_CAPABILITIES } from './capabilities.ts';
import type { DeviceRule, Mount, Process, Spec } from './types.ts';

export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const OCI_VERSION = '1.2.0';

/** Of a Linux container in `namespace`, on a machine with these folders of processors' thermal events. */
export function defaultSpec(namespace: string, id: string, thermal: readonly string[] = []): Spec {
  return {
    ociVersion: OCI_VERSION,
    process: defaultProcess(),
    root: { path: 'rootfs' },
    mounts: defaultMounts(),
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }, ...defaultDeviceRules()] },
      cgroupsPath: `/${namespace}/${id}`,
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/interrupts',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/sys/firmware',
        '/sys/devices/virtual/powercap',
        ...thermal,
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

function defaultProcess(): Process {
  return {
    user: { uid: 0, gid: 0 },
    cwd: '/',
    capabilities: {
      bounding: [...DEFAULT_CAPABILITIES],
      effective: [...DEFAULT_CAPABILITIES],
      permitted: [...DEFAULT_CAPABILITIES],
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  };
}

function defaultMounts(): Mount[] {
  const locked = ['nosuid', 'noexec', 'nodev'];
  const small = ['nosuid', 'strictatime', 'mode=755', 'size=65536k'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: locked },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: small },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...locked, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: [...locked] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...locked, 'ro'] },
    { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: [...small] },
  ];
}

/** null, random, full, tty, zero, urandom, console, the pseudo terminals, ptmx. */
function defaultDeviceRules(): DeviceRule[] {
  const character = (major: number, minor?: number): DeviceRule => ({
    allow: true,
    type: 'c',
    major,
    ...(minor === undefined ? {} : { minor }),
    access: 'rwm',
  });
  return [
    character(1, 3),
    character(1, 8),
    character(1, 7),
    character(5, 0),
    character(1, 5),
    character(1, 9),
    character(5, 1),
    character(136),
    character(5, 2),
  ];
}
