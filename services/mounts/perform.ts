// Performs the mounts of activations, each in a folder of its own below one that only the daemon may enter:
//
//   <folder>/<id>/0, 1, ...   where the mounts are, in their order; of a loop device a link to it
//
// What is in such a folder says how to undo it, so no record is needed for that. Nothing is removed recursively: a mount
// that would not go away loses no files.
import { lstat, mkdir, readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode, notImplemented } from '../lib/errors.ts';
import type { Mount } from '../lib/mount.ts';
import type { MountCalls } from './temporary.ts';

/** What mounting takes beyond mount(2). */
export interface DeviceCalls extends MountCalls {
  /** Attaches a file to a loop device, to which `link` then leads. */
  attachLoop(file: string, link: string, readOnly: boolean): Promise<void>;
  /** Detaches it again, and removes the link. */
  detachLoop(link: string): Promise<void>;
}

export interface Performer {
  /** Makes the folder of a new activation. */
  begin(id: string): Promise<void>;
  /** Performs the mount with this index; resolves with where it is. */
  perform(id: string, index: number, mount: Mount): Promise<string>;
  /** Undoes all of an activation, the last mount first; none is fine. */
  undo(id: string): Promise<void>;
  /** Ids of everything that is there. */
  ids(): Promise<readonly string[]>;
}

export function createPerformer(folder: string, calls: DeviceCalls): Performer {
  async function mountErofs(mount: Mount, target: string): Promise<void> {
    if (mount.options.some((option) => option.startsWith('X-containerd.dmverity='))) {
      throw notImplemented(`mount of ${mount.source}: dm-verity`);
    }
    const options = mount.options.filter((option) => option !== 'loop');
    try {
      await calls.mount([{ ...mount, options }], target);
    } catch (error) {
      // Before Linux 6.12 it takes a device.
      if (errnoCode(error) !== 'ENOTBLK' && errnoCode((error as Error).cause) !== 'ENOTBLK') throw error;
      await calls.mount([{ ...mount, options: [...options, 'ro', 'loop'] }], target);
    }
  }

  return {
    async begin(id) {
      await mkdir(path.join(folder, id), { recursive: true, mode: 0o700 });
    },

    async perform(id, index, mount) {
      const target = path.join(folder, id, String(index));
      if (mount.type === 'loop') {
        await calls.attachLoop(mount.source, target, mount.options.includes('ro'));
        return target;
      }
      await mkdir(target, { mode: 0o700 });
      await (mount.type === 'erofs' ? mountErofs(mount, target) : calls.mount([mount], target));
      return target;
    },

    async undo(id) {
      const own = path.join(folder, id);
      try {
        const places = (await readdir(own)).sort((a, b) => Number(b) - Number(a));
        for (const place of places) {
          const target = path.join(own, place);
          if ((await lstat(target)).isSymbolicLink()) {
            await calls.detachLoop(target);
          } else {
            await calls.unmount(target);
            await rmdir(target);
          }
        }
        await rmdir(own);
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
      }
    },

    async ids() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return readdir(folder);
    },
  };
}
