// An archive that a client names instead of sending it.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { ImageImportFile } from '../../../proto/gen/davit.types.transfer.ts';
import { invalidArgument, notImplemented } from '../../lib/errors.ts';

export interface OpenArchive extends AsyncDisposable {
  readonly file: FileHandle;
  /** From its beginning. */
  readonly bytes: AsyncIterable<Buffer>;
}

const READ_SIZE = 1024 * 1024;

/** Throws `not implemented` when the client means another file than the one that is here: it may send it. */
export async function openArchive({
  path,
  device,
  inode,
}: Pick<ImageImportFile, 'path' | 'device' | 'inode'>): Promise<OpenArchive> {
  if (!path.startsWith('/')) throw invalidArgument(`path "${path}" of an archive is not absolute`);
  const another = (cause?: unknown): Error =>
    notImplemented(`import of "${path}", which the daemon does not see as its client does`, { cause });
  // What is no file must not make us wait.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw another(error);
  });
  try {
    const info = await file.stat({ bigint: true });
    if (!info.isFile() || String(info.dev) !== device || String(info.ino) !== inode) throw another();
  } catch (error) {
    await file.close();
    throw error;
  }
  return { file, bytes: bytesOf(file), [Symbol.asyncDispose]: () => file.close() };
}

async function* bytesOf(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ;) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(READ_SIZE), 0, READ_SIZE, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
