// Writes the test images as OCI archives, and the shell check of the layered one, for scripts that
// drive a command line.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dockerList } from './docker-image.ts';
import { busyboxImage, LAYERED_CHECK, layeredImage, ociArchive, userImage } from './image.ts';

export function writeImages(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const archives = { busybox: busyboxImage(), user: userImage(), layered: layeredImage() };
  for (const [name, image] of Object.entries(archives)) {
    writeFileSync(path.join(directory, `${name}.tar`), ociArchive([image]));
  }
  writeFileSync(path.join(directory, 'platforms.tar'), dockerList());
  writeFileSync(path.join(directory, 'layered.check'), LAYERED_CHECK);
}
