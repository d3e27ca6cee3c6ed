// Archives into the image store through the Transfer service.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packMessage } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { openStream } from '../../client/streams.ts';
import { sendAll } from './byte-streams.ts';

export const TYPES = 'containerd.types.transfer';
/** Names as the archive has them. */
export const NAMED = { extra_references: [{ name: 'docker.io/test', is_prefix: true, allow_overwrite: true }] };

/** Imports the archive; `store` is where to. */
export async function importArchive(client: Client, bytes: Buffer, store: object = NAMED): Promise<void> {
  const stream = await openStream(client, 'import');
  const sent = sendAll(stream, bytes).catch(() => undefined);
  try {
    await client.transfer.Transfer({
      source: packMessage(`${TYPES}.ImageImportStream`, { stream: stream.id }),
      destination: packMessage(`${TYPES}.ImageStore`, store),
    });
  } finally {
    stream.call.cancel();
    await sent;
  }
}

/** The same for an archive in a file, which the daemon reads itself. */
export async function importFile(client: Client, bytes: Buffer, store: object = NAMED): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'davit-test-archive-'));
  try {
    const file = path.join(folder, 'archive.tar');
    writeFileSync(file, bytes);
    await importNamed(client, file, statSync(file, { bigint: true }), store);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Names a file as the archive; `as`: what its client sees there. */
export async function importNamed(
  client: Client,
  file: string,
  as: { readonly dev: bigint; readonly ino: bigint },
  store: object = NAMED,
): Promise<void> {
  const source = { path: file, device: String(as.dev), inode: String(as.ino) };
  await client.transfer.Transfer({
    source: packMessage('davit.types.transfer.ImageImportFile', source),
    destination: packMessage(`${TYPES}.ImageStore`, store),
  });
}
