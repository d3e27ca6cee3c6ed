// The certificate authorities of the machine: people put their own there and expect them to count.
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

let known: readonly string[] | undefined;

/** In PEM; those that Node brings along where the machine has none. Read once. */
export function systemCertificates(environment: NodeJS.ProcessEnv = process.env): readonly string[] {
  known ??= readBundle(environment) ?? rootCertificates;
  return known;
}

function readBundle(environment: NodeJS.ProcessEnv): readonly string[] | undefined {
  const named = environment['SSL_CERT_FILE'];
  for (const file of named === undefined || named === '' ? BUNDLES : [named]) {
    try {
      return [readFileSync(file, 'utf8')];
    } catch {
      // Another place, another distribution.
    }
  }
  return undefined;
}
