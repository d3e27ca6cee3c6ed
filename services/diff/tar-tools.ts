// Applies layers with tar(1), until native code does: for plain images only. Folders that a layer does
// not list get default modes, and computing layers is not there.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Transform, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { invalidArgument, notImplemented } from '../lib/errors.ts';
import type { ApplyJob, LayerTools } from './tools.ts';

const run = promisify(execFile);
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

export const tarTools: LayerTools = {
  async apply(job, signal) {
    const hash = createHash('sha256');
    let size = 0;
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        size += chunk.length;
        done(null, chunk);
      },
    });
    const tar = spawn(
      'tar',
      ['-x', '-f', '-', '-C', job.folder, '-p', '--numeric-owner', '--xattrs', '--xattrs-include=*'],
      {
        stdio: ['pipe', 'ignore', 'pipe'],
      },
    );
    let problem = '';
    tar.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString('utf8').slice(0, 1000)));
    const ended = new Promise<number | null>((resolve, reject) => tar.on('error', reject).on('close', resolve));
    await pipeline(createReadStream(job.blob), await decompressor(job), counter, tar.stdin, { signal });
    if ((await ended) !== 0) throw invalidArgument(`layer cannot be unpacked: ${problem.trim()}`);
    await convertWhiteouts(job.folder, job.lower !== undefined);
    if (job.sync) await run('sync', ['-f', job.folder]);
    return { digest: `sha256:${hash.digest('hex')}`, size };
  },
  compare: () => Promise.reject(notImplemented('computing a layer')),
};

async function decompressor({ blob, detect }: ApplyJob): Promise<Duplex> {
  if (!detect) return new PassThrough();
  const file = await open(blob);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0).finally(() => file.close());
  if (buffer[0] === 0x1f && buffer[1] === 0x8b) return createGunzip();
  if (buffer.readUInt32LE(0) === 0xfd2fb528) {
    throw notImplemented('zstd layers');
  }
  return new PassThrough();
}

async function convertWhiteouts(folder: string, overlay: boolean): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) await convertWhiteouts(file, overlay);
    if (!entry.name.startsWith(WHITEOUT)) continue;
    await rm(file);
    if (entry.name === OPAQUE && overlay) await run('setfattr', ['-n', 'trusted.overlay.opaque', '-v', 'y', folder]);
    if (entry.name === OPAQUE) continue;
    const hidden = path.join(folder, entry.name.slice(WHITEOUT.length));
    const own = await lstat(hidden).catch(() => undefined);
    if (overlay && own === undefined) await run('mknod', ['-m', '0', hidden, 'c', '0', '0']);
  }
}
