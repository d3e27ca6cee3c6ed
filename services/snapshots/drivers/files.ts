// What drivers do with whole file trees.
import type { Usage } from '../api.ts';

export interface TreeFiles {
  /**
   * Disk space and inodes below and including `folder`; hard links count once. What vanishes meanwhile is not counted,
   * nor are files that are the same as in `base`, which `folder` was a btrfs snapshot of.
   */
  usage(folder: string, base?: string): Promise<Usage>;
  /** Removes a folder and all below it; nothing happens when it is absent. */
  remove(folder: string): Promise<void>;
  /** Resolves when the file system that `folder` is on has written everything. */
  sync(folder: string): Promise<void>;
  /** Copies all below `from`, and its own owner, mode, times and attributes, into the folder `to`. */
  copy(from: string, to: string): Promise<void>;
}
