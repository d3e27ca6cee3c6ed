// Layers that are EROFS images: put in place as they are, for the kernel to mount.
import { constants } from 'node:fs';
import { copyFile, link, open, rm } from 'node:fs/promises';
import { errnoCode, invalidArgument } from '../lib/errors.ts';

/** Where the superblock is, and what of it is read. */
const OFFSET = 1024;
const LENGTH = 128;
const MAGIC = 0xe0f5e1e2;
const BLOCK_BITS = { least: 9, most: 16 };

/** Makes the image in `blob` the file `target`. Throws `invalid argument` for what is no image, or not all of one. */
export async function placeImage(blob: string, target: string): Promise<void> {
  await checkImage(blob);
  await rm(target, { force: true });
  try {
    // Neither is ever written to.
    await link(blob, target);
  } catch (error) {
    if (errnoCode(error) !== 'EXDEV' && errnoCode(error) !== 'EMLINK') throw error;
    await copyFile(blob, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
}

async function checkImage(blob: string): Promise<void> {
  const file = await open(blob);
  try {
    const { buffer: superblock, bytesRead } = await file.read(Buffer.alloc(LENGTH), 0, LENGTH, OFFSET);
    const bits = superblock.readUInt8(12);
    const isImage = bytesRead === LENGTH && superblock.readUInt32LE(0) === MAGIC;
    if (!isImage || bits < BLOCK_BITS.least || bits > BLOCK_BITS.most) throw invalidArgument('layer: no EROFS image');
    const { size } = await file.stat();
    if (superblock.readUInt32LE(36) * 2 ** bits > size) throw invalidArgument('layer: an EROFS image that ends early');
  } finally {
    await file.close();
  }
}
