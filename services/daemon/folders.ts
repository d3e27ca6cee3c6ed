// The daemon's folders on disk.
import { chmod, mkdir, stat } from 'node:fs/promises';

const STICKY = 0o1000;

/**
 * Makes a folder with `mode` at most: what is below, setuid programs of images among it, is not for
 * other users (CVE-2021-41091, CVE-2024-25621). One that was there with more loses the rest, except
 * a shared one like /tmp.
 */
export async function makeOwnFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode });
  const found = (await stat(folder)).mode & 0o7777;
  if ((found & ~mode) !== 0 && (found & STICKY) === 0) await chmod(folder, found & mode);
}
