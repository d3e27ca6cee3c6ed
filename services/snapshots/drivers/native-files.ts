// File trees through the native addon.
import { copyTree, diskUsage, removeTree, syncFileSystem } from '../../../native/addon/index.ts';
import type { TreeFiles } from './files.ts';

export const nativeFiles: TreeFiles = {
  async usage(folder, base) {
    const { bytes, inodes } = await diskUsage(folder, undefined, base);
    return { size: Number(bytes), inodes: Number(inodes) };
  },
  remove: (folder) => removeTree(folder),
  sync: (folder) => syncFileSystem(folder),
  copy: (from, to) => copyTree(from, to),
};
