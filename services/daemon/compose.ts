// The only file that constructs things: reads from top to bottom as the daemon is put together.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Registration } from '../grpc/handlers.ts';
import { createServer, type CallObserver } from '../grpc/server.ts';
import { createHealthService } from '../health/service.ts';
import type { Logger } from '../lib/log.ts';
import { MetadataStore } from '../metadata/store.ts';
import { createVersionService, type BuildInfo } from '../version/service.ts';
import type { Config } from './defaults.ts';
import { listen } from './listen.ts';

export interface Daemon {
  /** Ends calls, closes sockets and stores. Containers go on running. */
  stop(): Promise<void>;
}

export interface ComposeDeps {
  readonly log: Logger;
  readonly build: BuildInfo;
  readonly observer: CallObserver;
}

/** How long running calls may take to end when the daemon stops, in milliseconds. */
const STOP_GRACE = 2000;

/** Opens the stores, recovers what runs, then opens the socket. */
export async function startDaemon(config: Config, deps: ComposeDeps): Promise<Daemon> {
  const { log } = deps;
  await mkdir(config.root, { recursive: true, mode: 0o700 });
  await mkdir(config.state, { recursive: true, mode: 0o711 });

  const metadata = new MetadataStore(path.join(config.root, 'metadata'));
  await metadata.open();

  const services: Registration[] = [];
  const names = new Set<string>();
  services.push(
    createVersionService(deps.build),
    createHealthService(() => names),
  );
  for (const service of services) names.add(service.name);

  const server = createServer(
    { log, observer: deps.observer },
    { maxReceive: config.grpc.max_recv_message_size, maxSend: config.grpc.max_send_message_size },
    services,
  );
  await listen(server, config.grpc);

  return {
    async stop() {
      const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const timer = setTimeout(() => server.forceShutdown(), STOP_GRACE);
      await ended;
      clearTimeout(timer);
      await metadata.close();
    },
  };
}
