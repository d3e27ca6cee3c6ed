// Which snapshotter a command works with when none was named.
import type { Client } from '../client/connect.ts';
import { isNotFound } from '../client/errors.ts';

const NAMESPACE_LABEL = 'containerd.io/defaults/snapshotter';
const FALLBACK = 'overlayfs';

/** The one asked for, else the namespace's, else overlayfs. */
export async function defaultSnapshotter(client: Client, asked: string | undefined): Promise<string> {
  if (asked) return asked;
  try {
    const { namespace } = await client.namespaces.Get({ name: client.namespace });
    return namespace?.labels[NAMESPACE_LABEL] || FALLBACK;
  } catch (error) {
    if (isNotFound(error)) return FALLBACK;
    throw error;
  }
}
