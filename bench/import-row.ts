// Import and unpack of a large image of twelve layers.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeImage, makeLayer, ociArchive } from '../integration/harness/image.ts';
import type { TarEntry } from '../integration/harness/tar.ts';
import { inTurn, milliseconds } from './measure.ts';
import type { Sides } from './rows.ts';
import type { Subject } from './subject.ts';
import type { Row } from './table.ts';

const LAYERS = 12;
const MEGABYTE = 1024 * 1024;
const NAME = 'docker.io/bench/large:latest';
const RUNS = 3;

/** Bytes that look like a program's: half noise, half text that repeats. The same in every run. */
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

/** `megabytes` is the size of all layers, unpacked. */
export async function importRow(sides: Sides, megabytes: number): Promise<Row> {
  const directory = mkdtempSync('/tmp/davit-bench-');
  const archive = path.join(directory, 'large.tar');
  try {
    const layers = Array.from({ length: LAYERS }, (_, number) => makeLayer(layer(number, megabytes / LAYERS)));
    writeFileSync(archive, ociArchive([makeImage(NAME, layers)]));
    const work = async (subject: Subject): Promise<number> => {
      const taken = await milliseconds(() => subject.ctr('image', 'import', archive));
      await subject.ctr('image', 'rm', '--sync', NAME);
      return taken;
    };
    const pair = await inTurn(
      RUNS,
      () => work(sides.reference),
      () => work(sides.davit),
    );
    return {
      what: `ctr image import, ${megabytes} MB in ${LAYERS} layers, unpacked`,
      unit: 'ms',
      pair,
      budget: '0.35',
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
