// Prometheus: http://<address>/v1/metrics. Loaded only when an address is configured.
import http from 'node:http';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { LayerObserver } from '../diff/api.ts';
import type { CallObserver } from '../grpc/server.ts';
import { Failure } from '../lib/errors.ts';
import type { GcObserver } from '../metadata/gc-api.ts';
import type { TaskMetrics } from '../tasks/api.ts';
import type { BuildInfo } from '../version/service.ts';
import { registerTaskMetrics } from './task-metrics.ts';

export type DaemonObserver = CallObserver & GcObserver & LayerObserver;

export interface Metrics {
  /** Adds the cgroup numbers of tasks. */
  watch(tasks: TaskMetrics): void;
  readonly observer: DaemonObserver;
  /** Port that is listened on. */
  readonly port: number;
  close(): Promise<void>;
}

const PATH = '/v1/metrics';

export async function serveMetrics(address: string, histogram: boolean, build: BuildInfo): Promise<Metrics> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'containerd_build_info_total',
    help: 'containerd build information',
    labelNames: ['version', 'revision'],
    registers: [registry],
  }).set({ version: build.version, revision: build.revision }, 1);
  const { server, port } = await listen(address, registry);
  return {
    watch: (tasks) => registerTaskMetrics(registry, tasks),
    observer: { ...callObserver(registry, histogram), ...gcObserver(registry), ...layerObserver(registry) },
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function callObserver(registry: Registry, histogram: boolean): CallObserver {
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Total number of RPCs completed on the server, regardless of success or failure.',
    labelNames: ['grpc_service', 'grpc_method', 'grpc_code'],
    registers: [registry],
  });
  const seconds = histogram
    ? new Histogram({
        name: 'grpc_server_handling_seconds',
        help: 'Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.',
        labelNames: ['grpc_service', 'grpc_method'],
        registers: [registry],
      })
    : undefined;
  return {
    finished(method, code, milliseconds) {
      const [, grpc_service = '', grpc_method = ''] = method.split('/');
      handled.inc({ grpc_service, grpc_method, grpc_code: code });
      seconds?.observe({ grpc_service, grpc_method }, milliseconds / 1000);
    },
  };
}

function gcObserver(registry: Registry): GcObserver {
  const collections = new Counter({
    name: 'containerd_gc_collections_total',
    help: 'counts gc collections',
    labelNames: ['status'],
    registers: [registry],
  });
  const seconds = new Histogram({ name: 'containerd_gc_gc_seconds', help: 'gc time', registers: [registry] });
  return {
    collected(status, pause) {
      collections.inc({ status });
      if (status === 'success') seconds.observe(pause / 1000);
    },
  };
}

function layerObserver(registry: Registry): LayerObserver {
  const registers = [registry];
  const layers = new Counter({ name: 'davit_layers_applied_total', help: 'Layers applied to trees.', registers });
  const bytes = new Counter({
    name: 'davit_layers_applied_bytes_total',
    help: 'Uncompressed size of the layers applied.',
    registers,
  });
  return {
    applied(size) {
      layers.inc();
      bytes.inc(size);
    },
  };
}

async function listen(address: string, registry: Registry): Promise<{ server: http.Server; port: number }> {
  const match = /^(.*):(\d+)$/.exec(address);
  if (match === null)
    throw new Failure('invalid argument', `metrics.address "${address}" is not HOST:PORT: invalid argument`);
  const server = http.createServer((request, response) => {
    if (request.url?.split('?')[0] !== PATH) {
      response.writeHead(404).end(`not found: metrics are at ${PATH}\n`);
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Failure('unavailable', `listen on metrics.address "${address}": ${error.message}: unavailable`)),
    );
    server.listen(Number(match[2]), (match[1] ?? '').replace(/^\[|\]$/g, '') || undefined, resolve);
  });
  const bound = server.address();
  return { server, port: typeof bound === 'object' && bound !== null ? bound.port : 0 };
}
