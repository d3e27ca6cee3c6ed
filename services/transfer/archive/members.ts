// The members of an archive: one after the other from a stream, or wherever they are in a file.
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { copyPart, listArchive, type ArchiveMember } from '../../../native/addon/index.ts';
import { diskFull, errnoCode, Failure, invalidArgument } from '../../lib/errors.ts';
import { readLimited } from '../registry/limited.ts';
import { compressionOf } from './found.ts';

const MAX_MEMBERS = 100_000;
/** Of a name, in bytes, as for a path of Linux: what is remembered of a member must stay small. */
const MAX_NAME = 4096;

export interface Member {
  readonly type: 'file' | 'symlink' | 'link' | 'other';
  /** As in the archive, not cleaned. */
  readonly name: string;
  /** What a link leads to. */
  readonly link: string;
  readonly size: number;
  readonly data: Data;
}

/** What is in a member. */
export interface Data {
  /** All of it. Throws `resource exhausted` for more than `max` bytes. */
  read(max: number): Promise<Buffer>;
  /** The first bytes, and all of it for whoever writes it. */
  readonly bytes: AsyncIterable<Buffer> | Part;
}

/** Bytes in a file, which native code copies. */
export interface Part {
  head(): Promise<Buffer>;
  /** Appends all of it to a file; resolves with its sha256 digest. */
  copy(to: string, signal: AbortSignal): Promise<string>;
}

/** Calls `take` with each member, in order. Throws `invalid argument` for what is no archive. */
export async function readMembers(
  input: AsyncIterable<Buffer>,
  take: (member: Member) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const source = Readable.from(input, { objectMode: false, signal });
  const tar = extract();
  const plain = await plainTar(source);
  plain.on('error', (error) => tar.destroy(error));
  plain.pipe(tar);
  try {
    let members = 0;
    for await (const entry of tar) {
      if (++members > MAX_MEMBERS) throw invalidArgument(`archive: more than ${MAX_MEMBERS} entries`);
      const { name, type, linkname, size } = entry.header;
      if (Math.max(name.length, linkname?.length ?? 0) >= MAX_NAME) throw tooLong();
      const bytes = entry as AsyncIterable<Buffer>;
      const data: Data = { bytes, read: (max) => readLimited(bytes, max, `archive: ${name}`) };
      await take({ type: typeOf(type), name, link: linkname ?? '', size: size ?? 0, data });
      entry.resume();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof Failure
      ? error
      : invalidArgument(`archive: ${error instanceof Error ? error.message : ''}`, { cause: error });
  } finally {
    source.destroy();
    plain.destroy();
  }
}

function tooLong(cause?: unknown): Failure {
  return invalidArgument(`archive: a name of ${MAX_NAME} bytes or more`, { cause });
}

function typeOf(type: string | null | undefined): Member['type'] {
  if (type === 'file' || type === 'contiguous-file') return 'file';
  return type === 'symlink' || type === 'link' ? type : 'other';
}

/** Undefined for what can only be read from its beginning: compressed, with sparse files, or no archive at all. */
export async function listMembers(file: FileHandle, signal: AbortSignal): Promise<Member[] | undefined> {
  const path = pathOf(file);
  let found: ArchiveMember[];
  try {
    found = await listArchive(path, MAX_MEMBERS, signal);
  } catch (error) {
    signal.throwIfAborted();
    const code = errnoCode(error);
    if (code === 'EBADMSG' || code === 'ENOTSUP') return undefined;
    if (code === 'ENAMETOOLONG') throw tooLong(error);
    if (code === 'EFBIG') throw invalidArgument(`archive: more than ${MAX_MEMBERS} entries`, { cause: error });
    throw error;
  }
  return found.map(({ type, name, link, offset, size }) => {
    const read = async (length: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, Number(offset));
      return buffer.subarray(0, bytesRead);
    };
    const part: Part = {
      head: () => read(Math.min(4, Number(size))),
      copy: (to, joint) => copyPart({ file: path, offset, size, to }, joint).catch(failed(name, joint)),
    };
    const data: Data = {
      bytes: part,
      read: (max) => {
        if (size <= BigInt(max)) return read(Number(size));
        throw new Failure('resource exhausted', `archive: ${name}: more than ${max} bytes: resource exhausted`);
      },
    };
    return { type, name, link, size: Number(size), data };
  });
}

/** What is open, whatever its name leads to by now. */
function pathOf(file: FileHandle): string {
  return `/proc/self/fd/${file.fd}`;
}

function failed(name: string, signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    signal.throwIfAborted();
    const text = `archive: ${name}: ${error instanceof Error ? error.message : ''}`;
    if (errnoCode(error) === 'EBADMSG') throw invalidArgument(text, { cause: error });
    throw diskFull(text, error) ?? error;
  };
}

/** The archive itself may be compressed with gzip. */
async function plainTar(source: Readable): Promise<Readable> {
  const first = await new Promise<Buffer | undefined>((resolve, reject) => {
    const settle = (): void => {
      const chunk = source.read() as Buffer | null;
      if (chunk !== null) source.unshift(chunk);
      for (const event of ['readable', 'end']) source.off(event, settle);
      source.off('error', reject);
      resolve(chunk ?? undefined);
    };
    source.once('readable', settle).once('end', settle).once('error', reject);
  });
  if (first === undefined || compressionOf(first) !== 'gzip') return source;
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}
