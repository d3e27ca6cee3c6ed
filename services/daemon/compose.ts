// The only file that constructs things: reads from top to bottom as the daemon is put together.
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContainersService } from '../containers/service.ts';
import { createContainers } from '../containers/store.ts';
import { createContentService } from '../content/service.ts';
import { createContent } from '../content/store.ts';
import { createAhead } from '../diff/ahead.ts';
import { createCopies } from '../copies/copies.ts';
import { createDiffer } from '../diff/differ.ts';
import { createDiffService } from '../diff/service.ts';
import { nativeTools } from '../diff/native-tools.ts';
import type { LayerObserver } from '../diff/api.ts';
import { observed, type LayerTools } from '../diff/tools.ts';
import { createEvents } from '../events/exchange.ts';
import { createEventsService } from '../events/service.ts';
import type { Registration } from '../grpc/handlers.ts';
import { createServer, type CallObserver } from '../grpc/server.ts';
import { createHealthService } from '../health/service.ts';
import { createImagesService } from '../images/service.ts';
import { createImages } from '../images/store.ts';
import { createDaemonService } from '../introspection/daemon.ts';
import { loadIdentity } from '../introspection/identity.ts';
import { describePlugins } from '../introspection/plugins.ts';
import { createIntrospectionService } from '../introspection/service.ts';
import { createLeasesService } from '../leases/service.ts';
import { createLeases } from '../leases/store.ts';
import { mountToWire, type Mount } from '../lib/mount.ts';
import { parseDuration } from '../lib/duration.ts';
import type { Logger } from '../lib/log.ts';
import { createRecovery } from '../lib/recovery.ts';
import type { GcObserver } from '../metadata/gc-api.ts';
import { createGarbageCollector } from '../metadata/gc.ts';
import { MetadataStore } from '../metadata/store.ts';
import { createActivations } from '../mounts/activations.ts';
import { nativeMounts } from '../mounts/native.ts';
import { createPerformer } from '../mounts/perform.ts';
import { createMountsService } from '../mounts/service.ts';
import { createTemporaryMounts } from '../mounts/temporary.ts';
import { createNamespacesService } from '../namespaces/service.ts';
import { createNamespaces } from '../namespaces/store.ts';
import type { Driver } from '../snapshots/api.ts';
import { nativeImage } from '../snapshots/drivers/erofs.ts';
import { nativeFiles } from '../snapshots/drivers/native-files.ts';
import { createSnapshotsService } from '../snapshots/service.ts';
import { createSnapshots } from '../snapshots/snapshots.ts';
import { createSandboxStoreService } from '../sandbox/service.ts';
import { createSandboxes } from '../sandbox/store.ts';
import { createStreamingService } from '../streaming/service.ts';
import { createStreams } from '../streaming/streams.ts';
import type { TaskMetrics } from '../tasks/api.ts';
import { createCheckpoints } from '../tasks/checkpoint.ts';
import { createTaskMetrics } from '../tasks/metrics.ts';
import { rootfsOf } from '../tasks/rootfs.ts';
import { createTasksService } from '../tasks/service.ts';
import { createTransferService } from '../transfer/service.ts';
import { createTransfers } from '../transfer/transfers.ts';
import { createVersionService, type BuildInfo } from '../version/service.ts';
import { createProxied, createProxies } from './compose/proxies.ts';
import { startRuntime } from './compose/runtime.ts';
import { bootId, createDrivers } from './compose/snapshotters.ts';
import type { Config } from './defaults.ts';
import { makeOwnFolder } from './folders.ts';
import { listen } from './listen.ts';

export interface Daemon {
  readonly taskMetrics: TaskMetrics;
  /** Ends calls, closes sockets and stores. Containers go on running. */
  stop(): Promise<void>;
}

export interface ComposeDeps {
  readonly log: Logger;
  readonly build: BuildInfo;
  readonly observer: CallObserver & GcObserver & LayerObserver;
}

/** Larger layers are not unpacked before somebody asks, in bytes. */
const AHEAD_SIZE = 4 * 1024 ** 3;
/** How long running calls may take to end when the daemon stops, in milliseconds. */
const STOP_GRACE = 500;

/** Opens the stores, recovers what runs, then opens the socket. */
export async function startDaemon(config: Config, deps: ComposeDeps): Promise<Daemon> {
  const { log } = deps;
  await makeOwnFolder(config.root, 0o700);
  await makeOwnFolder(config.state, 0o711);

  const metadata = new MetadataStore(path.join(config.root, 'metadata'));
  const recovery = createRecovery(log);
  const events = createEvents();
  const gc = createGarbageCollector({ metadata, log, options: gcOptions(config), observer: deps.observer });
  const namespaces = createNamespaces({ metadata, events });
  const leases = createLeases({ metadata, gc, namespaces });
  const images = createImages({ metadata, gc, leases, namespaces, events });
  const containers = createContainers({ metadata, gc, namespaces, events });
  const { drivers, unavailable } = await createDrivers(config, log);
  const tools = observed(nativeTools, deps.observer);
  const proxies = createProxies(
    config,
    [...drivers, ...unavailable].map(({ name }) => name),
    parseDuration(config.timeouts['io.davit.timeout.proxy'] ?? '60s'),
    log,
  );
  const { ahead, limits } = unpacking(config, tools, drivers, log);
  const isolated = config.plugins['io.containerd.metadata.v1.bolt'].content_sharing_policy === 'isolated';
  const content = createContent({
    metadata,
    gc,
    leases,
    namespaces,
    events,
    folder: path.join(config.root, 'content'),
    sharing: isolated ? 'isolated' : 'shared',
    arrived: (blob) => ahead?.arrived(blob),
  });
  const boot = await bootId();
  const snapshots = createSnapshots({ metadata, gc, leases, namespaces, events, log, boot, shared: !isolated }, [
    ...drivers,
    ...proxies.drivers,
  ]);
  const temporary = createTemporaryMounts({
    folder: path.join(config.state, 'mounts'),
    calls: nativeMounts,
    log,
    recovery,
  });
  const activated = path.join(config.state, 'activations');
  const activations = createActivations({
    metadata,
    gc,
    leases,
    namespaces,
    performer: createPerformer(activated, nativeMounts),
    roots: [config.root, activated],
    recovery,
    log,
    boot,
  });
  const imageFor = trustedImages(config, drivers);
  const diffs = createDiffer({ content, mounts: temporary, tools, limits, ahead, imageFor, log });
  const sandboxes = createSandboxes({ metadata, namespaces });
  const streams = createStreams();
  const transfers = createTransfers(
    { content, diffs, images, leases, namespaces, snapshots, log },
    { ...transferOptions(config), shared: !isolated },
  );
  const checkpoints = createCheckpoints({ content, diffs, folder: path.join(config.root, 'checkpoints') });
  // Refuses a second daemon: nothing is touched before.
  await metadata.open();
  const [tasks, uuid] = await Promise.all([
    startRuntime(config, { log, events, version: deps.build.version, recovery }),
    loadIdentity(config.root),
    content.start(),
    snapshots.recover(),
    temporary.recover(),
    activations.recover(),
    ahead?.recover(),
    checkpoints.start(),
  ]);

  const copies = createCopies({
    containers,
    runtime: tasks.runtime,
    mounts: temporary,
    async rootfs(namespace, container) {
      const mounts = await snapshots.get(container.snapshotter).mounts(namespace, container.snapshotKey);
      const mapped = rootfsOf(mounts.map(mountToWire), snapshots, namespace, container);
      return mapped.map((mount, index) => ({ ...(mounts[index] as Mount), options: mount.options ?? [] }));
    },
  });
  const services: Registration[] = [];
  const names = new Set<string>();
  const plugins = () =>
    describePlugins({
      services: [...names],
      snapshotters: [...drivers, ...unavailable],
      proxies: proxies.described,
      contentRoot: path.join(config.root, 'content'),
      metadataRoot: path.join(config.root, 'metadata'),
      runtime: tasks.runtime,
    });
  services.push(
    createVersionService(deps.build),
    createHealthService(() => names),
    createIntrospectionService({ plugins, uuid }),
    createDaemonService({
      ...deps.build,
      root: config.root,
      state: config.state,
      address: config.grpc.address,
      shim: tasks.shim,
      snapshotters: [...drivers, ...unavailable],
      namespaces,
      containers,
      images,
      content,
      runtime: tasks.runtime,
      recovery,
    }),
    createNamespacesService(namespaces),
    createLeasesService(leases),
    createImagesService(images),
    createContainersService(containers),
    createSnapshotsService(snapshots),
    createContentService(content),
    createDiffService(diffs),
    createMountsService(activations),
    createSandboxStoreService(sandboxes),
    createEventsService(events),
    createStreamingService(streams),
    createTransferService({ transfers, copies, streams }),
    createTasksService({
      runtime: tasks.runtime,
      containers,
      snapshots,
      checkpoints,
      log,
      stateTimeout: parseDuration(config.timeouts['io.containerd.timeout.task.state'] ?? '2s'),
    }),
  );
  for (const service of services) names.add(service.name);

  const serve = (registrations: readonly Registration[]) =>
    createServer(
      { log, observer: deps.observer },
      { maxReceive: config.grpc.max_recv_message_size, maxSend: config.grpc.max_send_message_size },
      registrations,
    );
  const server = serve(services);
  const servers = [server];
  const proxied = config.plugins['io.davit.proxied.v1'];
  if (proxied.address !== '') {
    const second = serve([await createProxied(snapshots, leases, proxied.snapshotter)]);
    await listen(second, { ...config.grpc, address: proxied.address, tcp_address: '' });
    servers.push(second);
  }
  await listen(server, config.grpc);
  events.opened();
  gc.start();

  return {
    taskMetrics: createTaskMetrics(tasks.runtime, log),
    async stop() {
      const ended = Promise.all(
        servers.map((each) => new Promise<void>((resolve) => each.tryShutdown(() => resolve()))),
      );
      const timer = setTimeout(() => servers.forEach((each) => each.forceShutdown()), STOP_GRACE);
      // The second time is for those who do not even take the end of their connection: it ends with the process.
      await Promise.race([ended, sleep(2 * STOP_GRACE, undefined, { ref: false })]);
      clearTimeout(timer);
      await gc.stop();
      await tasks.close();
      await content.stop();
      await ahead?.stop();
      await snapshots.close();
      proxies.close();
      await metadata.close();
    },
  };
}

/** How layers are unpacked: ahead only for overlayfs, whose folders hold exactly a layer. */
function unpacking({ plugins }: Config, tools: LayerTools, drivers: readonly Driver[], log: Logger) {
  const { ahead, max_layer_size: size, max_layer_entries: entries } = plugins['io.davit.unpack.v1'];
  const limits = { size, entries };
  const overlay = drivers.find(({ name }) => name === 'overlayfs');
  if (!ahead || overlay === undefined) return { limits, ahead: undefined };
  return {
    limits,
    ahead: createAhead({
      tools,
      folder: path.join(overlay.root, 'ahead'),
      remove: (folder) => nativeFiles.remove(folder),
      limits: { size: Math.min(size, AHEAD_SIZE), entries },
      // Each takes two threads.
      width: Math.max(1, Math.floor(availableParallelism() / 2)),
      log,
    }),
  };
}

/** Where layers that are EROFS images go, when the kernel may mount what came from elsewhere. */
function trustedImages({ plugins }: Config, drivers: readonly Driver[]) {
  const erofs = drivers.find(({ name }) => name === 'erofs');
  if (!plugins['io.containerd.differ.v1.erofs'].native_layers || erofs === undefined) return undefined;
  return (folder: string) => nativeImage(erofs.root, folder);
}

function transferOptions({ plugins }: Config) {
  const local = plugins['io.containerd.transfer.v1.local'];
  const verifiers = plugins['io.containerd.image-verifier.v1.bindir'];
  return {
    hostsFolders: local.config_path.split(':').filter((folder) => folder !== ''),
    maxDownloads: Math.max(1, local.max_concurrent_downloads),
    maxUploads: Math.max(1, local.max_concurrent_uploaded_layers),
    verifiers: {
      folder: verifiers.bin_dir,
      most: verifiers.max_verifiers,
      timeout: parseDuration(verifiers.per_verifier_timeout),
    },
    discardLayers: plugins['io.davit.unpack.v1'].discard_unpacked_layers,
    maxUnpacks: local.max_concurrent_unpacks || availableParallelism(),
    environment: process.env,
  };
}

function gcOptions({ plugins }: Config) {
  const scheduler = plugins['io.containerd.gc.v1.scheduler'];
  return {
    pauseThreshold: scheduler.pause_threshold,
    deletionThreshold: scheduler.deletion_threshold,
    mutationThreshold: scheduler.mutation_threshold,
    scheduleDelay: parseDuration(scheduler.schedule_delay),
    startupDelay: parseDuration(scheduler.startup_delay),
  };
}
