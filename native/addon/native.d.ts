// The functions of davit.node as they are: one options object each, in the order and with the names
// of the C++ side, every property present and null where there is nothing. A wrong argument throws a
// TypeError with its path (`applyLayer.args[0].lowers[2]: Expected string`). Everything else rejects
// the promise with a NativeError. index.ts gives them the face that the rest sees.

/** Cancels the call that it was given to, once or often, before, during or after it. */
export interface CancelHandle {
  cancel(): void;
}

/** Name of an errno, as `ENOENT`; null when no system call failed. */
export type Errno = string | null;

export interface NativeError extends Error {
  readonly code: Errno;
  /** What failed, without the words for the errno. */
  readonly operation: string;
}

export interface NativeMount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** What of the file system is mounted. */
  readonly root: string;
  readonly target: string;
  /** Of the mount; those of the file system are in `superOptions`. */
  readonly options: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: string;
}

export interface OverlaySupport {
  readonly supported: boolean;
  /** Why not; '' when it is. */
  readonly reason: string;
  /** Only with the option `userxattr`. */
  readonly userXattr: boolean;
}

export interface ApplyLayerOptions {
  /** Path of the blob, from `offset` on for `length` bytes, or to its end. */
  readonly blob: string;
  readonly offset: bigint | number;
  readonly length: bigint | number | null;
  readonly compression: 'detect' | 'none' | 'gzip' | 'zstd';
  /** The folder to write to. */
  readonly root: string;
  /**
   * Not null: `root` is the upper folder of an overlay on top of these, the topmost first, and
   * deletions become whiteouts. Empty: what is below is not known yet, every whiteout is kept.
   */
  readonly lowers: readonly string[] | null;
  /** The overlay keeps its marks in user.* attributes. */
  readonly userXattr: boolean;
  /** Limits of the unpacked layer: bytes, entries. */
  readonly maxSize: bigint | number | null;
  readonly maxEntries: bigint | number | null;
  /** Resolve when the file system has everything on disk. */
  readonly sync: boolean;
}

export interface AppliedLayer {
  /** `sha256:...` of the unpacked layer, all of it. */
  readonly digest: string;
  /** In bytes, unpacked. */
  readonly size: bigint;
  readonly entries: bigint;
  /** Whiteouts and opaque directories. */
  readonly marked: bigint;
  /** With empty `lowers`: what settleLayer() has to know. Null: the layer cannot be settled. */
  readonly deferred: Buffer | null;
  /** What the root takes now; null when it was not empty, or something was removed: only the tree tells then. */
  readonly usage: TreeUsage | null;
}

export interface SettleLayerOptions {
  readonly root: string;
  readonly lowers: readonly string[];
  /** Of the layer that was applied. */
  readonly deferred: Uint8Array;
  readonly userXattr: boolean;
}

/** Each `inside:outside:size[,...]`. */
export interface IdMaps {
  readonly uids: string;
  readonly gids: string;
}

export interface DiffLayerOptions {
  /** The folder before; null: there was nothing. */
  readonly left: string | null;
  readonly right: string;
  /** `right` is an overlay's upper folder, whose own marks say what has changed; `left` is not read. */
  readonly overlay: boolean;
  /** That overlay keeps its marks in user.* attributes. */
  readonly userXattr: boolean;
  readonly file: string;
  readonly compression: 'none' | 'gzip' | 'zstd';
  /** Not null: files belong to the host's ids of a container; the layer gets the container's own. */
  readonly ids: IdMaps | null;
  /** Not null: no time in the layer is later, and deletions have this one. */
  readonly epoch: Epoch | null;
}

interface Epoch {
  readonly seconds: bigint | number;
  readonly nanos: number;
}

export interface RecompressOptions {
  /** Path of the layer, compressed in any way. */
  readonly blob: string;
  readonly file: string;
  readonly compression: 'none' | 'gzip' | 'zstd';
}

export interface WrittenLayer {
  /** `sha256:...` and bytes of the file. */
  readonly digest: string;
  readonly size: bigint;
  readonly uncompressedDigest: string;
  readonly uncompressedSize: bigint;
}

export interface MakeErofsOptions {
  /** A directory; as an overlay's upper folder with its marks. */
  readonly root: string;
  /** Made, or emptied first. */
  readonly file: string;
  /** Not null: no time in the image is later. */
  readonly epoch: Epoch | null;
  /** Read the image again for its digest. */
  readonly digest: boolean;
}

export interface ErofsImage {
  /** `sha256:...` of the file; '' when it was not asked for. */
  readonly digest: string;
  readonly size: bigint;
}

export interface ArchiveMember {
  /** Of a `symlink` or `link`, `link` is the target; `other` is what has no data. */
  readonly type: 'file' | 'symlink' | 'link' | 'other';
  /** As in the archive, not cleaned. */
  readonly name: string;
  readonly link: string;
  /** Where the data is in the file, in bytes. */
  readonly offset: bigint;
  readonly size: bigint;
}

export interface CopyPartOptions {
  readonly file: string;
  readonly offset: bigint;
  readonly size: bigint;
  /** Appended to. */
  readonly to: string;
}

export interface CopyOutOptions {
  /** A directory; whoever changes it meanwhile, nothing outside of it is read. */
  readonly root: string;
  /** In the root. */
  readonly path: string;
  /** The path's last component may be a link; else the link is meant. */
  readonly follow: boolean;
  /** With all below it. */
  readonly walk: boolean;
  /** What the path is called in the archive. */
  readonly name: string;
  /** Not null: the archive gets a container's own ids. */
  readonly ids: IdMaps | null;
}

export interface CopyInOptions {
  /** A directory; whoever changes it meanwhile, nothing outside of it is written. */
  readonly root: string;
  /** In the root, a directory that is there. */
  readonly path: string;
  /** Not null: in place of the first component of every name; '' for none. */
  readonly as: string | null;
  /** Not null: of everything. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  /** Make device nodes too. */
  readonly devices: boolean;
  /** Not null: ids are a container's own. */
  readonly ids: IdMaps | null;
}

export interface TreeUsage {
  /** Of allocated blocks. */
  readonly bytes: bigint;
  readonly inodes: bigint;
}

export interface NativeOutcome {
  /** Exit code, when signal is 0. */
  readonly code: number;
  readonly signal: number;
  readonly timedOut: boolean;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

interface Cancellable {
  readonly cancel: CancelHandle | null;
}

interface UnmountOptions {
  readonly target: string;
  readonly detach: boolean;
  /** How long a busy one is tried again. */
  readonly patienceMs: number;
}

export interface Native {
  readonly CancelHandle: new () => CancelHandle;

  mountAll(options: { readonly mounts: readonly NativeMount[]; readonly target: string }): Promise<void>;
  unmount(options: UnmountOptions): Promise<void>;
  unmountAll(options: UnmountOptions): Promise<void>;
  attachLoop(options: { readonly file: string; readonly link: string; readonly readOnly: boolean }): Promise<void>;
  detachLoop(options: { readonly link: string }): Promise<void>;
  lookupMount(options: { readonly path: string }): Promise<MountEntry>;
  listMounts(): Promise<MountEntry[]>;
  probeOverlay(options: { readonly directory: string }): Promise<OverlaySupport>;

  applyLayer(options: ApplyLayerOptions & Cancellable): Promise<AppliedLayer>;
  settleLayer(options: SettleLayerOptions & Cancellable): Promise<boolean>;
  diffLayer(options: DiffLayerOptions & Cancellable): Promise<WrittenLayer>;
  makeErofs(options: MakeErofsOptions & Cancellable): Promise<ErofsImage>;
  recompressLayer(options: RecompressOptions & Cancellable): Promise<WrittenLayer>;

  listArchive(options: { readonly file: string; readonly maxMembers: number } & Cancellable): Promise<ArchiveMember[]>;
  copyPart(options: CopyPartOptions & Cancellable): Promise<string>;

  openPipe(): { readonly read: number; readonly write: number };
  /** `fd` is closed by the call, an end of a pipe. */
  copyOut(options: CopyOutOptions & { readonly fd: number } & Cancellable): Promise<void>;
  copyIn(options: CopyInOptions & { readonly fd: number } & Cancellable): Promise<void>;

  removeTree(options: { readonly path: string } & Cancellable): Promise<void>;
  copyTree(options: { readonly from: string; readonly to: string } & Cancellable): Promise<void>;
  /** `base`: what is the same file there is not counted. */
  diskUsage(options: { readonly path: string; readonly base: string | null } & Cancellable): Promise<TreeUsage>;
  syncFileSystem(options: { readonly path: string }): Promise<void>;

  createSubvolume(options: { readonly path: string }): Promise<void>;
  snapshotSubvolume(options: { readonly from: string; readonly to: string; readonly readOnly: boolean }): Promise<void>;
  removeSubvolume(options: { readonly path: string }): Promise<void>;

  /** `argv` with the name the program is called by; `env` as NAME=value. */
  runProgram(options: {
    readonly file: string;
    readonly argv: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string | null;
    readonly input: Uint8Array | null;
    readonly timeoutMs: number;
  }): Promise<NativeOutcome>;

  /** `words` are pairs of a flag and its value; the pids of those that have ended. */
  endProcesses(options: {
    readonly program: string;
    readonly words: readonly string[];
    readonly timeoutMs: number;
  }): Promise<number[]>;

  /** Per question the payload of the answer's frame, or the name of the errno. */
  askAll(options: {
    readonly questions: readonly { readonly path: string; readonly frame: Uint8Array }[];
    readonly timeoutMs: number;
  }): Promise<(Buffer | string)[]>;
}
