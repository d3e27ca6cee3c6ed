// davit.services.daemon.v1.Daemon: what the daemon is, has and found at its start.
import { access, readFile, statfs } from 'node:fs/promises';
import { release } from 'node:os';
import {
  DaemonName,
  type Counts,
  type DaemonService,
  type InfoResponse,
  type Warning,
} from '../../proto/gen/davit.services.daemon.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Containers } from '../containers/api.ts';
import type { Content } from '../content/api.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import type { Images } from '../images/api.ts';
import type { Recovery } from '../lib/recovery.ts';
import { instantOf, instantToWire } from '../lib/time.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { Runtime } from '../runtime/api.ts';

export interface DaemonDeps {
  readonly version: string;
  readonly revision: string;
  readonly root: string;
  readonly state: string;
  readonly address: string;
  /** Path of the shim that is used by default; throws when there is none. */
  readonly shim: () => string;
  readonly snapshotters: readonly { readonly name: string; readonly root: string; readonly initError?: Error }[];
  readonly namespaces: Namespaces;
  readonly containers: Containers;
  readonly images: Images;
  readonly content: Pick<Content, 'list'>;
  readonly runtime: Runtime;
  readonly recovery: Recovery;
}

/** Below this part of free room, a file system is worth a warning. */
const LITTLE_ROOM = 0.05;

export function createDaemonService(deps: DaemonDeps): Registration {
  return registration<DaemonService>(DaemonName, {
    async Info() {
      const warnings: Input<Warning>[] = [];
      const shim = shimOf(deps, warnings);
      for (const { name, initError } of deps.snapshotters) {
        if (initError === undefined) continue;
        const remedy = 'use another snapshotter, or move --root to a file system that can hold its layers';
        warnings.push({ problem: `snapshotter ${name} is not loaded: ${initError.message}`, remedy });
      }
      for (const folder of [deps.root, deps.state]) await checkRoom(folder, warnings);
      return {
        ...about(deps),
        shim,
        kernel: release(),
        cgroups: await cgroups(),
        warnings: [...warnings, ...stuck(deps)],
      };
    },
  });
}

function about(deps: DaemonDeps): Input<InfoResponse> {
  const { version, revision, root, state, address, recovery } = deps;
  const startedAt = instantToWire(instantOf(recovery.startedAt.getTime()));
  return {
    version,
    revision,
    root,
    state,
    address,
    started_at: startedAt,
    snapshotters: deps.snapshotters.map(({ name, root: folder, initError }) => ({
      name,
      root: folder,
      problem: initError?.message ?? '',
    })),
    counts: count(deps),
    recovery: { started_at: startedAt, findings: recovery.findings, dropped: recovery.dropped },
  };
}

function count({ namespaces, containers, images, content, runtime }: DaemonDeps): Input<Counts> {
  const names = namespaces.list();
  const sum = (list: (namespace: string) => readonly unknown[]): number =>
    names.reduce((total, name) => total + list(name).length, 0);
  const sizes = new Map<string, number>();
  for (const name of names) for (const { digest, size } of content.list(name, [])) sizes.set(digest, size);
  let bytes = 0;
  for (const size of sizes.values()) bytes += size;
  return {
    namespaces: names.length,
    containers: sum((name) => containers.list(name, [])),
    tasks: runtime.all().length,
    images: sum((name) => images.list(name, [])),
    blobs: sizes.size,
    content_bytes: String(bytes),
  };
}

function shimOf(deps: DaemonDeps, warnings: Input<Warning>[]): string {
  try {
    return deps.shim();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    warnings.push({
      problem,
      remedy: 'install the shim, or name it as `shim` of io.davit.runtime.v1 in the configuration',
    });
    return '';
  }
}

async function checkRoom(folder: string, warnings: Input<Warning>[]): Promise<void> {
  const { bavail, blocks, ffree, files } = await statfs(folder);
  if (blocks > 0 && bavail < blocks * LITTLE_ROOM) {
    warnings.push({
      problem: `${folder}: the disk is nearly full`,
      remedy: 'remove images and containers, or move it',
    });
  }
  if (files > 0 && ffree < files * LITTLE_ROOM) {
    warnings.push({ problem: `${folder}: few inodes are left`, remedy: 'remove images and containers, or move it' });
  }
}

/** Tasks that the last start could not reach, and that are still there. */
function stuck({ recovery, runtime }: DaemonDeps): Input<Warning>[] {
  return recovery.findings.flatMap(({ what, namespace, id, outcome, detail }) => {
    if (what !== 'task' || (outcome !== 'silent' && outcome !== 'unreachable')) return [];
    if (outcome === 'silent' && runtime.get(namespace, id) === undefined) return [];
    const remedy = 'look at its shim process; once that has ended, the container is cleaned up and reported';
    return [{ problem: `task ${id} in ${namespace} at the last start: ${detail}`, remedy }];
  });
}

async function cgroups(): Promise<string> {
  const v2 = await access('/sys/fs/cgroup/cgroup.controllers').then(
    () => true,
    () => false,
  );
  if (v2) return 'v2';
  return / - cgroup2 /.test(await readFile('/proc/self/mountinfo', 'utf8')) ? 'v1 and v2' : 'v1';
}
