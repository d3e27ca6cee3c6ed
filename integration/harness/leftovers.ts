// What a daemon must not leave behind when everything was deleted: found on the host, not by asking it.
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, type Dirent } from 'node:fs';
import path from 'node:path';
import type { Target } from './target.ts';

export interface Scope {
  /** The daemon's own folder: everything it makes is below, and its shims name it in their arguments. */
  readonly directory: string;
  readonly state: string;
  /** Namespaces that were used; no other daemon uses the same names. */
  readonly namespaces: readonly string[];
  readonly target: Target;
  /** The daemon itself, which may stay. */
  readonly pid: number | undefined;
}

/** What was there before the suite. */
export interface Baseline {
  readonly networks: ReadonlySet<string>;
  readonly descriptors: readonly string[];
}

/** Connections and caches may add a few; a descriptor per operation shows. */
const DESCRIPTOR_SLACK = 8;

const CGROUP_ROOT = '/sys/fs/cgroup';

function entries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // gone meanwhile, or never there
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function descriptors(pid: number | undefined): string[] {
  if (pid === undefined) return [];
  return entries(`/proc/${pid}/fd`).flatMap(({ name }) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      return [];
    }
  });
}

export function baseline(scope: Scope): Baseline {
  return { networks: new Set(entries('/run/netns').map(({ name }) => name)), descriptors: descriptors(scope.pid) };
}

/** One line for each thing that should be gone. */
export function leftovers(scope: Scope, before: Baseline): string[] {
  return [
    ...processes(scope),
    ...mounts(scope),
    ...cgroups(scope),
    ...files(scope),
    ...entries('/run/netns')
      .filter(({ name }) => !before.networks.has(name))
      .map(({ name }) => `network namespace /run/netns/${name}`),
    ...openDescriptors(scope, before),
  ];
}

function processes(scope: Scope): string[] {
  return strays(scope).map((pid) => {
    const command = text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
    return `process ${pid}: ${command === '' ? text(`/proc/${pid}/comm`).trim() : command}`;
  });
}

/** Shims of the daemon, by their arguments, and processes in the cgroups of its containers. */
function strays(scope: Scope): number[] {
  const found: number[] = [];
  for (const { name } of entries('/proc')) {
    const pid = Number(name);
    if (!/^\d+$/.test(name) || pid === scope.pid || pid === process.pid) continue;
    const groups = text(`/proc/${name}/cgroup`);
    const isContained = scope.namespaces.some((namespace) => groups.includes(`/${namespace}/`));
    if (isContained || (text(`/proc/${name}/cmdline`).includes(scope.directory) && !isAncestor(pid))) found.push(pid);
  }
  return found;
}

/** Whether the process is above this one: a test run may be called with the folder as an argument. */
function isAncestor(pid: number): boolean {
  for (let current = process.pid; current > 1;) {
    const stat = text(`/proc/${current}/stat`);
    current = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
    if (current === pid) return true;
  }
  return false;
}

function mounts(scope: Scope): string[] {
  return mountPoints(scope).map((point) => `mount ${point}`);
}

function mountPoints(scope: Scope): string[] {
  return text('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === scope.directory || point.startsWith(`${scope.directory}/`));
}

function hierarchies(): string[] {
  const names = entries(CGROUP_ROOT).filter((entry) => entry.isDirectory() && !entry.isSymbolicLink());
  return [CGROUP_ROOT, ...names.map(({ name }) => path.join(CGROUP_ROOT, name))];
}

function cgroups(scope: Scope): string[] {
  const found: string[] = [];
  for (const hierarchy of hierarchies()) {
    for (const namespace of scope.namespaces) {
      for (const entry of entries(path.join(hierarchy, namespace))) {
        if (entry.isDirectory()) found.push(`cgroup ${path.join(hierarchy, namespace, entry.name)}`);
      }
    }
  }
  return found;
}

/** Bundles, FIFOs and sockets under the state folder, except what the daemon listens on. */
function files(scope: Scope): string[] {
  const found: string[] = [];
  const walk = (directory: string, depth: number): void => {
    for (const entry of entries(directory)) {
      const name = path.join(directory, entry.name);
      if (entry.isSocket() && /\/s\//.test(name.slice(scope.state.length))) found.push(`socket ${name}`);
      // What lies directly in the state folder is the daemon's own.
      else if (entry.isFIFO() && depth > 0) found.push(`FIFO ${name}`);
      else if (entry.isDirectory()) {
        // containerd 1.6 forgets the bundle of a task whose runtime it does not find.
        const bundle = scope.target === 'davit' && scope.namespaces.includes(path.basename(directory));
        if (bundle) found.push(`bundle ${name}`);
        else if (depth < 5) walk(name, depth + 1);
      }
    }
  };
  walk(scope.state, 0);
  return found;
}

function openDescriptors(scope: Scope, before: Baseline): string[] {
  const now = descriptors(scope.pid);
  if (now.length <= before.descriptors.length + DESCRIPTOR_SLACK) return [];
  const known = new Map<string, number>();
  for (const link of before.descriptors) known.set(link, (known.get(link) ?? 0) + 1);
  const added = now.filter((link) => {
    const count = known.get(link) ?? 0;
    known.set(link, count - 1);
    return count <= 0;
  });
  return [`${now.length - before.descriptors.length} descriptors of the daemon: ${added.join(', ')}`];
}

/** After a suite that failed: what it left must not disturb the next one, nor the machine. */
export function sweep(scope: Scope): void {
  for (const pid of strays(scope)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // ended meanwhile
    }
  }
  for (const point of mountPoints(scope).reverse()) spawnSync('umount', ['--lazy', point], { stdio: 'ignore' });
  for (const hierarchy of hierarchies()) {
    for (const namespace of scope.namespaces) {
      const parent = path.join(hierarchy, namespace);
      for (const { name } of entries(parent)) spawnSync('rmdir', [path.join(parent, name)], { stdio: 'ignore' });
    }
  }
}

/** Removes the empty cgroups of namespaces: containerd and runc leave them. */
export function removeNamespaceCgroups(namespaces: readonly string[]): void {
  for (const hierarchy of hierarchies()) {
    for (const namespace of namespaces) {
      const directory = path.join(hierarchy, namespace);
      try {
        if (lstatSync(directory).isDirectory()) rmdirSync(directory);
      } catch {
        // not there, or not empty: then the check has named it
      }
    }
  }
}
