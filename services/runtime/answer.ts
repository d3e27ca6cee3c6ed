// The answer of a shim's `start`: where the shim listens, and which version of the task API it speaks.
import { codec } from '../../proto/messages.ts';
import type { BootstrapResult } from '../../proto/gen/containerd.runtime.bootstrap.v1.ts';
import { Failure } from '../lib/errors.ts';

export interface Endpoint {
  /** Version of the task API: 2 or 3. */
  readonly version: number;
  /** `unix:///path`; without a scheme, the name of an abstract socket. */
  readonly address: string;
  readonly protocol: string;
}

const bootstrapResults = codec<BootstrapResult>('containerd.runtime.bootstrap.v1.BootstrapResult');

const LATEST_VERSION = 3;

/**
 * Shims since containerd 2.3 write protobuf, those of 1.7 to 2.2 JSON, older ones the bare address.
 * White space around the answer belongs to it when it is protobuf, else not.
 */
export function parseAnswer(output: Buffer): Endpoint {
  const endpoint = fromProtobuf(output) ?? fromText(output.toString('utf8').trim());
  if (endpoint.address === '') throw new Failure('internal', 'shim answered without an address: internal');
  if (endpoint.version > LATEST_VERSION) {
    throw new Failure('not implemented', `unsupported shim version (${endpoint.version}): not implemented`);
  }
  return endpoint;
}

function fromProtobuf(output: Buffer): Endpoint | undefined {
  let result: BootstrapResult;
  try {
    result = bootstrapResults.decode(output);
  } catch {
    return undefined;
  }
  // Some texts happen to parse as protobuf, but never into an address with a version.
  return result.version >= 2 && result.address !== '' ? pick(result) : undefined;
}

/** JSON, or else a bare address. */
export function fromText(text: string): Endpoint {
  if (text.startsWith('{')) {
    const parsed = JSON.parse(text) as unknown;
    if (isEndpoint(parsed) && parsed.version >= 2) return pick(parsed);
  }
  return { version: 2, address: text, protocol: 'ttrpc' };
}

function pick({ version, address, protocol }: Endpoint): Endpoint {
  return { version, address, protocol: protocol === '' ? 'ttrpc' : protocol };
}

function isEndpoint(value: unknown): value is Endpoint {
  if (typeof value !== 'object' || value === null) return false;
  const { version, address, protocol } = value as Record<string, unknown>;
  return (
    typeof version === 'number' &&
    typeof address === 'string' &&
    (typeof protocol === 'string' || protocol === undefined)
  );
}

/** The path to connect to. Throws `not implemented` for what is not ttrpc over a unix socket. */
export function socketPath(endpoint: Endpoint): string {
  const { address, protocol } = endpoint;
  const url = /^([a-z][a-z0-9+.-]*):(.*)$/.exec(address);
  if (protocol.toLowerCase() !== 'ttrpc' || (url !== null && url[1] !== 'unix')) {
    throw new Failure(
      'not implemented',
      `shim at "${protocol}+${address}": only ttrpc over unix sockets is spoken here: not implemented`,
    );
  }
  if (url === null) return `\0${address}`;
  return (url[2] ?? '').replace(/^\/\/(?=\/)/, '');
}
