// Mounts performed by the daemon itself.
import type { Mount } from '../lib/mount.ts';

export interface TemporaryMounts {
  /**
   * Mounts `mounts` on a private folder, runs `work` with its path, and always unmounts and removes it
   * again. Without mounts it is an empty folder. A failure of `work` is not hidden by one of the clean-up.
   */
  withMounted<T>(mounts: readonly Mount[], work: (root: string) => Promise<T>): Promise<T>;
}
