// Copies: files out of and into containers, running or not, as tar archives.

export interface ContainerPlace {
  readonly container: string;
  /** From the container's root. A link at its end is meant itself, unless `/` or `/.` follows. */
  readonly path: string;
  /** Reading: with all below it. */
  readonly walk: boolean;
  /** Writing: the archive's owners; else all is root's. */
  readonly preserve: boolean;
}

export interface Copies {
  /**
   * Archives the path under its last component, `.` for `/` and `/.`. Throws `not found`; `failed
   * precondition` when a component is no directory.
   */
  read(
    namespace: string,
    from: ContainerPlace,
    send: (bytes: AsyncIterable<Buffer>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Unpacks an archive into the directory. Throws `not found`; `failed precondition` where a directory would have
   * to give way to a file or the other way round, and for what is read-only; `invalid argument` for no archive.
   */
  write(namespace: string, to: ContainerPlace, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
}
