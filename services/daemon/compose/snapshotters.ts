// Which snapshotters the daemon has, and where they keep their trees.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../../lib/log.ts';
import type { Driver } from '../../snapshots/api.ts';
import { createBtrfsDriver } from '../../snapshots/drivers/btrfs.ts';
import { createErofsDriver } from '../../snapshots/drivers/erofs.ts';
import { createNativeDriver } from '../../snapshots/drivers/native.ts';
import { nativeFiles } from '../../snapshots/drivers/native-files.ts';
import { createOverlayDriver } from '../../snapshots/drivers/overlayfs.ts';
import type { Config } from '../defaults.ts';

export interface Unavailable {
  readonly name: string;
  readonly root: string;
  readonly initError: Error;
}

/** Snapshotters that ought to work. */
const EVERYWHERE: ReadonlySet<string> = new Set(['overlayfs', 'native']);

/** The drivers that work on this machine, and those that do not. */
export async function createDrivers({ root, plugins }: Config, log: Logger) {
  const overlay = plugins['io.containerd.snapshotter.v1.overlayfs'];
  const native = plugins['io.containerd.snapshotter.v1.native'];
  const erofs = plugins['io.containerd.snapshotter.v1.erofs'];
  const options = { mountOptions: overlay.mount_options, upperdirLabel: overlay.upperdir_label };
  const makers: readonly [name: string, configured: string, make: (root: string) => Promise<Driver>][] = [
    ['overlayfs', overlay.root_path, (folder) => createOverlayDriver(folder, nativeFiles, options)],
    ['native', native.root_path, (folder) => createNativeDriver(folder, nativeFiles)],
    [
      'erofs',
      erofs.root_path,
      (folder) => createErofsDriver(folder, nativeFiles, { mountOptions: erofs.ovl_mount_options }),
    ],
    [
      'btrfs',
      plugins['io.containerd.snapshotter.v1.btrfs'].root_path,
      (folder) => createBtrfsDriver(folder, nativeFiles),
    ],
  ];
  const drivers: Driver[] = [];
  const unavailable: Unavailable[] = [];
  for (const [name, configured, make] of makers) {
    const folder = configured || path.join(root, 'snapshots', name);
    try {
      drivers.push(await make(folder));
    } catch (error) {
      const initError = error instanceof Error ? error : new Error(String(error));
      // Most machines have no btrfs, and some kernels no EROFS.
      const level = EVERYWHERE.has(name) ? 'warn' : 'info';
      log[level]('snapshotter not loaded', { snapshotter: name, error: initError });
      unavailable.push({ name, root: folder, initError });
    }
  }
  return { drivers, unavailable };
}

/** Differs with every start of the machine. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
