// OCI runtime specs for test containers: what ctr writes by default, and what a test changes.
import { DEFAULT_CAPABILITIES } from '../../spec/capabilities.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const MOUNTS = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  {
    destination: '/run',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
];

export interface ProcessOptions {
  readonly terminal?: boolean;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly user?: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
}

/** The `process` of a spec, which is also what Exec takes. */
export function processSpec(args: readonly string[], options: ProcessOptions = {}): object {
  return {
    terminal: options.terminal ?? false,
    user: { uid: 0, gid: 0, ...options.user },
    args,
    env: [PATH, ...(options.env ?? [])],
    cwd: options.cwd ?? '/',
    capabilities: {
      bounding: DEFAULT_CAPABILITIES,
      effective: DEFAULT_CAPABILITIES,
      permitted: DEFAULT_CAPABILITIES,
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  };
}

export interface SpecOptions extends ProcessOptions {
  /** Merged into `linux`. */
  readonly linux?: object;
  readonly mounts?: readonly object[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly readonlyRoot?: boolean;
  readonly hostname?: string;
  /** Merged over the whole. */
  readonly overrides?: object;
}

export function runtimeSpec(namespace: string, id: string, args: readonly string[], options: SpecOptions = {}): object {
  return {
    ociVersion: '1.0.2',
    process: processSpec(args, options),
    root: { path: 'rootfs', readonly: options.readonlyRoot ?? false },
    ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    mounts: [...MOUNTS, ...(options.mounts ?? [])],
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      cgroupsPath: `/${namespace}/${id}`,
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'network' }],
      maskedPaths: [
        '/proc/acpi',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: ['/proc/asound', '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      ...options.linux,
    },
    ...options.overrides,
  };
}
