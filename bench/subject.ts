// What is measured: a daemon and how it is reached. One is the reference, one is davitd.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { connect, type Client } from '../client/connect.ts';
import { createDaemon, externalDaemon, type Daemon } from '../integration/harness/daemon.ts';
import { busyboxImage, type TestImage } from '../integration/harness/image.ts';
import { putImage } from '../integration/harness/store.ts';

export const NAMESPACE = 'bench';
export const IMAGE: TestImage = busyboxImage('docker.io/bench/busybox:latest');

const run = promisify(execFile);

export interface Subject {
  readonly name: string;
  readonly daemon: Daemon;
  /** Whether the daemon is ours to restart and look into. */
  readonly own: boolean;
  readonly client: Client;
  /** A fresh connection: after a restart the old one waits before it tries again. */
  reconnect(): Client;
  /** Runs Debian's ctr; rejects when it fails. */
  ctr(...args: readonly string[]): Promise<string>;
}

/** `folder`: where the daemon keeps what it stores; in a folder of its own. */
export async function startSubject(
  target: 'containerd' | 'davit',
  { address, folder }: { readonly address?: string | undefined; readonly folder?: string | undefined },
): Promise<Subject> {
  const daemon = address === undefined ? createDaemon({ target, parent: folder }) : externalDaemon(address);
  await daemon.start();
  let client = connect(daemon.address, { namespace: NAMESPACE });
  await putImage(client, IMAGE);
  return {
    name: address === undefined ? target : address,
    daemon,
    own: address === undefined,
    get client() {
      return client;
    },
    reconnect() {
      client.close();
      client = connect(daemon.address, { namespace: NAMESPACE });
      return client;
    },
    async ctr(...args) {
      const { stdout } = await run('ctr', ['--address', daemon.address, '--namespace', NAMESPACE, ...args], {
        maxBuffer: 1 << 26,
      });
      return stdout;
    },
  };
}
