// The parts of the daemon under the names that containerd gives them.
import { codec } from '../../proto/messages.ts';
import type { RuntimeInfo, RuntimeRequest } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { invalidArgument, notImplemented } from '../lib/errors.ts';
import type { Runtime } from '../runtime/api.ts';
import type { Plugin } from './api.ts';

export interface Parts {
  /** Full names of the gRPC services that are served. */
  readonly services: readonly string[];
  readonly snapshotters: readonly {
    readonly name: string;
    readonly root: string;
    readonly capabilities?: readonly string[];
    readonly initError?: Error;
  }[];
  /** Other programs that are used as parts of this one, or were to be. */
  readonly proxies: readonly {
    readonly type: 'snapshotter' | 'content' | 'differ' | 'sandbox';
    readonly name: string;
    readonly exports: Readonly<Record<string, string>>;
    readonly capabilities: readonly string[];
    readonly initError?: Error;
  }[];
  readonly contentRoot: string;
  readonly metadataRoot: string;
  readonly runtime: Runtime;
}

const TYPES = {
  content: 'io.containerd.content.v1',
  differ: 'io.containerd.differ.v1',
  event: 'io.containerd.event.v1',
  gc: 'io.containerd.gc.v1',
  grpc: 'io.containerd.grpc.v1',
  metadata: 'io.containerd.metadata.v1',
  mounts: 'io.containerd.mount-manager.v1',
  runtime: 'io.containerd.runtime.v2',
  sandbox: 'io.containerd.sandbox.controller.v1',
  snapshotter: 'io.containerd.snapshotter.v1',
  streaming: 'io.containerd.streaming.v1',
  transfer: 'io.containerd.transfer.v1',
  verifier: 'io.containerd.image-verifier.v1',
} as const;

/** Services by full name: the id of the plugin that serves them, and what else is there when they are. */
const SERVICES: Readonly<Record<string, readonly [id: string, requires: readonly string[]]>> = {
  'containerd.services.containers.v1.Containers': ['containers', [TYPES.metadata]],
  'containerd.services.content.v1.Content': ['content', [TYPES.content]],
  'containerd.services.diff.v1.Diff': ['diff', [TYPES.differ]],
  'containerd.services.events.v1.Events': ['events', [TYPES.event]],
  'containerd.services.images.v1.Images': ['images', [TYPES.metadata]],
  'containerd.services.introspection.v1.Introspection': ['introspection', []],
  'containerd.services.leases.v1.Leases': ['leases', [TYPES.metadata, TYPES.gc]],
  'containerd.services.mounts.v1.Mounts': ['mounts', [TYPES.mounts]],
  'containerd.services.namespaces.v1.Namespaces': ['namespaces', [TYPES.metadata]],
  'containerd.services.sandbox.v1.Controller': ['sandbox-controllers', []],
  'containerd.services.sandbox.v1.Store': ['sandboxes', [TYPES.metadata]],
  'containerd.services.snapshots.v1.Snapshots': ['snapshots', [TYPES.snapshotter]],
  'containerd.services.streaming.v1.Streaming': ['streaming', [TYPES.streaming]],
  'containerd.services.tasks.v1.Tasks': ['tasks', [TYPES.runtime]],
  'containerd.services.transfer.v1.Transfer': ['transfer', [TYPES.transfer, TYPES.streaming]],
  'containerd.services.version.v1.Version': ['version', []],
  'grpc.health.v1.Health': ['healthcheck', []],
  'runtime.v1.RuntimeService': ['cri', [TYPES.runtime]],
};

export function describePlugins({
  services,
  snapshotters,
  proxies,
  contentRoot,
  metadataRoot,
  runtime,
}: Parts): Plugin[] {
  const served = new Set(services);
  const plugins: Plugin[] = [
    plugin(TYPES.event, 'exchange'),
    plugin(TYPES.metadata, 'leveldb', { requires: [TYPES.event], exports: { root: metadataRoot } }),
    plugin(TYPES.gc, 'scheduler', { requires: [TYPES.metadata] }),
    plugin(TYPES.runtime, 'task', {
      platform: true,
      requires: [TYPES.event, TYPES.metadata],
      exports: { 'log-uri-schemes': 'fifo,binary,file' },
      info: (options) => runtimeInfo(runtime, options),
    }),
  ];
  if (served.has('containerd.services.content.v1.Content')) {
    plugins.push(plugin(TYPES.content, 'content', { exports: { root: contentRoot } }));
  }
  for (const { name, root, capabilities = [], initError } of snapshotters) {
    const failed = initError === undefined ? {} : { initError };
    plugins.push(plugin(TYPES.snapshotter, name, { platform: true, exports: { root }, capabilities, ...failed }));
  }
  for (const { type, name, ...more } of proxies) plugins.push(plugin(TYPES[type], name, { platform: true, ...more }));
  if (served.has('containerd.services.diff.v1.Diff')) {
    plugins.push(plugin(TYPES.differ, 'walking', { platform: true, requires: [TYPES.metadata] }));
  }
  if (served.has('containerd.services.mounts.v1.Mounts')) {
    plugins.push(plugin(TYPES.mounts, 'leveldb', { requires: [TYPES.metadata] }));
  }
  if (served.has('containerd.services.streaming.v1.Streaming')) plugins.push(plugin(TYPES.streaming, 'manager'));
  if (served.has('containerd.services.transfer.v1.Transfer')) {
    plugins.push(plugin(TYPES.verifier, 'bindir'), plugin(TYPES.transfer, 'local', { requires: [TYPES.verifier] }));
  }
  for (const service of services) {
    const known = SERVICES[service];
    if (known !== undefined) plugins.push(plugin(TYPES.grpc, known[0], { requires: known[1] }));
  }
  return plugins;
}

function plugin(type: string, id: string, more: Partial<Plugin> = {}): Plugin {
  return { type, id, requires: [], platform: false, exports: {}, capabilities: [], ...more };
}

const requests = codec<RuntimeRequest>('containerd.types.RuntimeRequest');
const infos = codec<RuntimeInfo>('containerd.types.RuntimeInfo');

async function runtimeInfo(runtime: Runtime, options: Any): Promise<Any> {
  if (options.type_url !== requests.name) throw notImplemented(`unknown request type ${options.type_url}`);
  const request = requestIn(options);
  const info = await runtime.info(request.runtime_path, request.options);
  return { type_url: infos.name, value: infos.encode(info) };
}

function requestIn({ value }: Any): RuntimeRequest {
  try {
    return requests.decode(value);
  } catch (error) {
    throw invalidArgument('failed to unmarshal plugin info Options: ill-formed message', { cause: error });
  }
}
