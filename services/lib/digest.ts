// Digests: `<algorithm>:<lower-case hexadecimal>`. Checked in full before any use as a path.
import { createHash, type Hash } from 'node:crypto';

export type Algorithm = 'sha256' | 'sha384' | 'sha512';

export interface Digest {
  readonly algorithm: Algorithm;
  readonly encoded: string;
}

const LENGTHS: Readonly<Record<Algorithm, number>> = { sha256: 64, sha384: 96, sha512: 128 };
const FORM = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;
const HEX = /^[a-f0-9]+$/;

/** The parts of a well-formed digest, or what is wrong with it in the words that clients know. */
export function parseDigest(text: string): Digest | string {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, Math.max(colon, 0));
  const encoded = text.slice(colon + 1);
  if (algorithm === '' || encoded === '') return 'invalid checksum digest format';
  if (!isAlgorithm(algorithm))
    return FORM.test(text) ? 'unsupported digest algorithm' : 'invalid checksum digest format';
  if (encoded.length !== LENGTHS[algorithm]) return 'invalid checksum digest length';
  return HEX.test(encoded) ? { algorithm, encoded } : 'invalid checksum digest format';
}

/** The algorithm of a digest, well-formed or not; undefined when it is not one of ours. */
export function algorithmOf(digest: string): Algorithm | undefined {
  const name = digest.slice(0, Math.max(digest.indexOf(':'), 0));
  return isAlgorithm(name) ? name : undefined;
}

export function formatDigest(algorithm: Algorithm, hash: Hash): string {
  return `${algorithm}:${hash.digest('hex')}`;
}

export function digestOf(bytes: Uint8Array | string, algorithm: Algorithm = 'sha256'): string {
  return formatDigest(algorithm, createHash(algorithm).update(bytes));
}

function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(LENGTHS, name);
}
