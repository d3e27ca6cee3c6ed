// Health: SERVING from the first call on, since the socket opens only when everything is ready.
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthName,
  type HealthCheckResponse,
  type HealthService,
} from '../../proto/gen/grpc.health.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { notFound } from '../lib/errors.ts';
import type { Call } from '../grpc/call.ts';

/** `services`: full names of what is served; the empty name stands for the whole server. */
export function createHealthService(services: () => ReadonlySet<string>): Registration {
  const serves = (name: string): boolean => name === '' || services().has(name);
  return registration<HealthService>(HealthName, {
    Check: ({ service }) => {
      if (!serves(service)) throw notFound(`unknown service "${service}"`);
      return { status: ServingStatus.SERVING };
    },
    Watch: ({ service }, call) => watch(serves(service), call),
  });
}

async function* watch(served: boolean, call: Call): AsyncIterable<Partial<HealthCheckResponse>> {
  yield { status: served ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN };
  await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve(), { once: true }));
}
