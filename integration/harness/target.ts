// Which daemon the tests are for, as the environment says.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export type Target = 'davit' | 'containerd';

/** The checkout: two folders above dist/integration/harness or one less from the sources. */
export const REPOSITORY = repository(path.dirname(fileURLToPath(import.meta.url)));

function repository(here: string): string {
  const root = path.resolve(here, '../..');
  return path.basename(root) === 'dist' ? path.dirname(root) : root;
}

/** DAVIT_TEST_TARGET: davit (default) or containerd. */
export function targetOf(environment: NodeJS.ProcessEnv): Target {
  const target = environment['DAVIT_TEST_TARGET'] ?? 'davit';
  if (target !== 'davit' && target !== 'containerd') {
    throw new Error(`DAVIT_TEST_TARGET="${target}": use davit or containerd`);
  }
  return target;
}

/** DAVIT_TEST_ADDRESS: the socket of a daemon that runs already; undefined to start one. */
export function addressOf(environment: NodeJS.ProcessEnv): string | undefined {
  const address = environment['DAVIT_TEST_ADDRESS'];
  return address === undefined || address === '' ? undefined : address;
}
