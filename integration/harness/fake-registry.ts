// A registry that has just these documents and blobs, and says and does what a test wants besides.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Client } from '../../client/connect.ts';
import type { Credentials } from '../../client/images/credentials.ts';
import { sha256 } from './image.ts';
import { fakeServer, type Certificate, type FakeServer } from './registry.ts';
import { pull } from './transfer.ts';

export const TYPES = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Has the documents under their digests, and the first one as every tag. `before` may answer in its place. */
export function fakeRegistry(
  documents: readonly (readonly [type: string, bytes: Buffer])[],
  before?: Answer,
  tls?: Certificate,
): Promise<FakeServer> {
  return fakeServer((request, response) => {
    before?.(request, response);
    if (response.headersSent || response.writableEnded) return;
    const name = (request.url ?? '').split('?')[0]?.split('/').at(-1) ?? '';
    const found = documents.find(([, bytes]) => sha256(bytes) === name) ?? (/:/.test(name) ? undefined : documents[0]);
    if (found === undefined || !(request.url ?? '').startsWith('/v2/')) return;
    const [type, bytes] = found;
    response.writeHead(200, {
      'content-type': type,
      'content-length': bytes.length,
      'docker-content-digest': sha256(bytes),
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }, tls);
}

export interface FakePull {
  readonly credentials?: Credentials | undefined;
  /** Undefined: overlayfs; '': is not unpacked. */
  readonly snapshotter?: string;
  readonly hostsFolder?: string;
  /** It speaks TLS. */
  readonly tls?: boolean;
}

/** Pulls what such a registry has as every tag. */
export function pullFrom(client: Client, host: string, options: FakePull = {}): Promise<void> {
  const { snapshotter = 'overlayfs', ...more } = options;
  return pull(client, `${host}/x/y:1`, { ...more, snapshotter: snapshotter || undefined });
}

export const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));

export const described = (mediaType: string, bytes: Buffer, more: object = {}) => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
  ...more,
});
