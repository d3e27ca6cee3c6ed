// Pulling from and pushing to the registries of tests, through the daemon.
import type { Client } from '../../client/connect.ts';
import type { Credentials } from '../../client/images/credentials.ts';
import { pullImage, pushImage, type PullOptions } from '../../client/images/transfer.ts';

export const HOST_PLATFORM = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };

export interface Pull extends Partial<PullOptions> {
  readonly hostsFolder?: string | undefined;
  readonly credentials?: Credentials | undefined;
  /** TLS: where nobody says otherwise, http is tried after https. */
  readonly tls?: boolean | undefined;
}

/** For the host's platform and onto overlayfs, unless `more` says otherwise. */
export function pull(client: Client, reference: string, more: Pull = {}): Promise<void> {
  const { hostsFolder, credentials, tls, ...options } = more;
  return pullImage(
    client,
    { reference, hostsFolder, plainHttp: tls !== true, credentials: () => Promise.resolve(credentials) },
    {
      name: reference,
      platforms: [HOST_PLATFORM],
      labels: {},
      allMetadata: false,
      snapshotter: 'overlayfs',
      ...options,
    },
  );
}

export function push(client: Client, name: string, reference: string, credentials?: Credentials): Promise<void> {
  return pushImage(
    client,
    { reference, plainHttp: true, credentials: () => Promise.resolve(credentials) },
    { name, platforms: [] },
  );
}
