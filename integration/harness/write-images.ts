// Writes the test images as OCI archives, and the shell check of the layered one, for scripts that
// drive a command line.
//
//   node dist/integration/harness/write-images.js DIRECTORY
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { busyboxImage, LAYERED_CHECK, layeredImage, ociArchive, userImage } from './image.ts';

const directory = process.argv[2];
if (directory === undefined) {
  process.stderr.write('usage: write-images DIRECTORY\n');
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
const archives = { busybox: busyboxImage(), user: userImage(), layered: layeredImage() };
for (const [name, image] of Object.entries(archives)) writeFileSync(path.join(directory, `${name}.tar`), ociArchive([image]));
writeFileSync(path.join(directory, 'layered.check'), LAYERED_CHECK);
