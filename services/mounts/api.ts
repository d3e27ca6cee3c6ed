// Mounts performed by the daemon itself.
import type { Mount } from '../lib/mount.ts';

export interface TemporaryMounts {
  /**
   * Mounts `mounts` on a private directory, runs `work` with its path, and always unmounts and
   * removes it again. With `readonly` nothing below can be written.
   * A failure of `work` is not hidden by one of the clean-up.
   */
  withMounted<T>(
    mounts: readonly Mount[],
    options: { readonly readonly: boolean },
    work: (root: string) => Promise<T>,
  ): Promise<T>;
}
