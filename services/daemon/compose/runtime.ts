// Puts together what runs tasks: the runtime, and the socket on which shims tell of events.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { askAll, endProcesses, unmountAll } from '../../../native/addon/index.ts';
import { createEventsTtrpc } from '../../events/service.ts';
import type { Events } from '../../events/api.ts';
import { parseDuration } from '../../lib/duration.ts';
import type { Logger } from '../../lib/log.ts';
import type { Recovery } from '../../lib/recovery.ts';
import { createActions } from '../../runtime/actions.ts';
import type { RuntimeLifecycle } from '../../runtime/api.ts';
import { createBundles } from '../../runtime/bundle.ts';
import { runProgram } from '../../runtime/program.ts';
import { createResolver } from '../../runtime/resolve.ts';
import { createRuntime } from '../../runtime/runtime.ts';
import { openShimLog } from '../../runtime/shim-log.ts';
import { openSocketFolder } from '../../runtime/socket-folder.ts';
import { createTtrpcServer } from '../../runtime/ttrpc/server.ts';
import type { Config } from '../defaults.ts';
import { ownSocket, prepareSocket } from '../listen.ts';

export interface RunningRuntime {
  readonly runtime: RuntimeLifecycle;
  /** Path of the shim that is used by default; throws when there is none. */
  readonly shim: () => string;
  close(): Promise<void>;
}

export interface RuntimeParts {
  readonly log: Logger;
  readonly events: Events;
  readonly version: string;
  readonly recovery: Recovery;
}

/** Opens the events socket and finds the tasks that outlived the last daemon. */
export async function startRuntime(
  config: Config,
  { log, events, version, recovery }: RuntimeParts,
): Promise<RunningRuntime> {
  const self = path.resolve(process.argv[1] ?? '');
  const ttrpcAddress = ttrpcAddressOf(config);
  const sockets = await openSocketFolder(config.state, recovery);
  const tasksFolder = path.join(config.state, 'tasks');
  await mkdir(tasksFolder, { recursive: true, mode: 0o711 });

  const timeout = (name: string): number => parseDuration(config.timeouts[`io.containerd.timeout.${name}`] ?? '5s');
  const timeouts = { load: timeout('shim.load'), cleanup: timeout('shim.cleanup'), shutdown: timeout('shim.shutdown') };
  const shimLog = await openShimLog(path.join(config.state, 'shim-log'), runProgram, log);
  const resolver = createResolver({
    shim: config.plugins['io.davit.runtime.v1'].shim,
    folders: [...(process.env['PATH'] ?? '').split(':').filter((folder) => folder !== ''), path.dirname(self)],
  });
  const runtime = createRuntime({
    log,
    events,
    timeouts,
    shimLog,
    sockets,
    recovery,
    askAll,
    bundles: createBundles({
      folder: tasksFolder,
      // Lazily, and so with what is mounted below.
      unmount: (target) => unmountAll(target, { detach: true }),
      failed: (error) => log.error('failed to remove bundle, trying again at the next start', { error }),
    }),
    resolver,
    actions: createActions({
      log,
      run: runProgram,
      grpcAddress: config.grpc.address,
      ttrpcAddress,
      self,
      version,
      socketFolder: sockets.path,
      endProcesses,
      debug: log.debugEnabled,
      env: config.plugins['io.containerd.runtime.v2.task'].sched_core ? { SCHED_CORE: '1' } : {},
      cleanupTimeout: timeouts.cleanup,
    }),
  });
  const ttrpc = createTtrpcServer({
    methods: createEventsTtrpc(events, (envelope) => runtime.noteEvent(envelope)),
    onUnexpected: (method, error) => log.error('unclassified error', { method, error }),
  });
  await prepareSocket(ttrpcAddress);
  await new Promise<void>((resolve, reject) => {
    ttrpc.server.once('error', reject);
    ttrpc.server.listen(ttrpcAddress, resolve);
  });
  ttrpc.server.on('error', (error) => log.error('events socket', { address: ttrpcAddress, error }));
  await ownSocket(ttrpcAddress, config.ttrpc.uid || config.grpc.uid, config.ttrpc.gid || config.grpc.gid);
  void runtime.recover();

  return {
    runtime,
    shim: () => resolver.resolve('io.containerd.davit.v1').path,
    async close() {
      await runtime.close();
      await ttrpc.close();
      shimLog.close();
      await sockets.close();
    },
  };
}

/** Where shims tell of events. */
export function ttrpcAddressOf(config: Config): string {
  return config.ttrpc.address === '' ? `${config.grpc.address}.ttrpc` : config.ttrpc.address;
}
