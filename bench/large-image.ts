// The images that are imported and pulled: the same in every run.
import { createHash } from 'node:crypto';
import { makeImage, makeLayer, type TestImage } from '../integration/harness/image.ts';
import type { TarEntry } from '../integration/harness/tar.ts';

export const LAYERS = 12;
const MEGABYTE = 1024 * 1024;
const FOLDER_FILES = 100;

/** Bytes that look like a program's: half noise, half text that repeats. */
function content(seed: string, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  const text = Buffer.from(`${seed}: the quick brown fox jumps over the lazy dog; `.repeat(20));
  for (let offset = 0; offset < size; offset += 1024) {
    if (offset % 2048 === 0) text.copy(bytes, offset);
    else {
      let block = createHash('sha512').update(`${seed} ${offset}`).digest();
      for (let at = offset; at < Math.min(offset + 1024, size); at += 64) {
        block.copy(bytes, at);
        block = Buffer.from(block.map((byte, index) => (byte * 31 + index + at) & 0xff));
      }
    }
  }
  return bytes;
}

/** A layer of files between a kilobyte and a megabyte. */
function layer(number: number, megabytes: number): TarEntry[] {
  const entries: TarEntry[] = [{ name: `layer-${number}`, type: 'directory' }];
  let left = megabytes * MEGABYTE;
  for (let file = 0; left > 0; file += 1) {
    const size = Math.min(left, 1024 * (1 + ((file * 7919) % 1024)));
    const folder = `layer-${number}/folder-${file % 16}`;
    if (file < 16) entries.push({ name: folder, type: 'directory' });
    entries.push({ name: `${folder}/file-${file}`, content: content(`${number}/${file}`, size) });
    left -= size;
  }
  return entries;
}

/** `megabytes` in twelve layers. */
export function largeImage(megabytes: number): TestImage {
  const layers = Array.from({ length: LAYERS }, (_, number) => makeLayer(layer(number, megabytes / LAYERS)));
  return makeImage('bench/large', layers);
}

/** Images of one layer of so many files of one to five kilobytes; each variant is another layer, for the same work. */
export function manyFiles(count: number): (variant: number) => TestImage {
  const entries: TarEntry[] = [];
  for (let file = 0; file < count; file += 1) {
    const folder = `folder-${Math.floor(file / FOLDER_FILES)}`;
    if (file % FOLDER_FILES === 0) entries.push({ name: folder, type: 'directory' });
    entries.push({ name: `${folder}/file-${file}`, content: content(String(file), 1024 + ((file * 37) % 4096)) });
  }
  return (variant) =>
    makeImage('bench/files', [makeLayer([{ name: `variant-${variant}`, type: 'directory' }, ...entries])]);
}
