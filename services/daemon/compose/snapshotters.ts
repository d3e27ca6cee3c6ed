// Which snapshotters the daemon has, and where they keep their trees.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Driver } from '../../snapshots/api.ts';
import { createNativeDriver } from '../../snapshots/drivers/native.ts';
import { nativeFiles } from '../../snapshots/drivers/native-files.ts';
import { createOverlayDriver } from '../../snapshots/drivers/overlayfs.ts';
import type { Config } from '../defaults.ts';

export async function createDrivers({ root, plugins }: Config): Promise<Driver[]> {
  const overlay = plugins['io.containerd.snapshotter.v1.overlayfs'];
  const native = plugins['io.containerd.snapshotter.v1.native'];
  const folder = (configured: string, name: string): string => configured || path.join(root, 'snapshots', name);
  const options = { mountOptions: overlay.mount_options, upperdirLabel: overlay.upperdir_label };
  return [
    await createOverlayDriver(folder(overlay.root_path, 'overlayfs'), nativeFiles, options),
    await createNativeDriver(folder(native.root_path, 'native'), nativeFiles),
  ];
}

/** Differs with every start of the machine. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
