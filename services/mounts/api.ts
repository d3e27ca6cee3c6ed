// Mounts as containerd's API describes them: what to mount, not where. Whoever receives a list
// performs it in order on one target; `target`, when set, is a path below it.

export interface Mount {
  /** `bind`, `overlay`, ... */
  readonly type: string;
  readonly source: string;
  readonly target: string;
  /** In the form of fstab: `ro`, `rbind`, `lowerdir=/a:/b`. */
  readonly options: readonly string[];
}

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
