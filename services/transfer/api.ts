// Transfers: images from registries and archives into the image store, and out of it again.
import type { FileHandle } from 'node:fs/promises';
import type { Scope } from '../leases/api.ts';
import type { Platform } from '../lib/platforms.ts';
import type { Descriptor } from './documents.ts';
import type { Credentials } from './registry/auth.ts';

/** One step of a transfer, in containerd's words. */
export interface Progress {
  /** `downloading`, `complete`, ...; without a name a line about the whole. */
  readonly event: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly progress: number;
  readonly total: number;
  readonly descriptor: Descriptor | undefined;
}

export type Report = (progress: Progress) => void;

/** A registry as a source or destination. */
export interface RegistryPlace {
  readonly reference: string;
  /** Sent with every request to it. */
  readonly headers: Readonly<Record<string, string>>;
  /** A folder in certs.d's layout; '' for the daemon's own ones. */
  readonly hostsFolder: string;
  /** Of the registry's own host, where its configuration does not say; '' for the usual one. */
  readonly defaultScheme: string;
  /** Undefined when there are none for that host. */
  credentials(host: string, challenges: readonly string[]): Promise<Credentials | undefined>;
}

/** How images are named when they are stored, and found again. */
export interface ImageReference {
  readonly name: string;
  /** `name` is the beginning of names; what an archive calls its images is appended. */
  readonly isPrefix: boolean;
  readonly allowOverwrite: boolean;
  readonly addDigest: boolean;
  readonly skipNamedDigest: boolean;
}

export interface Unpack {
  readonly platform: Platform;
  /** '' for the default one. */
  readonly snapshotter: string;
}

/** The image store as a source or destination. */
export interface StorePlace {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  /** What of an index is wanted; all when empty. */
  readonly platforms: readonly Platform[];
  /** Manifests and configs of other platforms too. */
  readonly allMetadata: boolean;
  /** Of an index's manifests; 0 for all. */
  readonly manifestLimit: number;
  readonly extraReferences: readonly ImageReference[];
  readonly unpacks: readonly Unpack[];
}

/** An archive as a source. */
export interface ArchiveSource {
  readonly bytes: AsyncIterable<Buffer>;
  /** The same, where it is a file: read side by side, and only as far as it is needed. */
  readonly file?: FileHandle | undefined;
  /** Compresses layers that are not; of Docker archives only. */
  readonly compress: boolean;
}

/** An archive as a destination. */
export interface ArchiveTarget {
  /** Of an index what suits these; all when empty, and all must be here. */
  readonly platforms: readonly Platform[];
  readonly skipDockerManifest: boolean;
  readonly skipNonDistributable: boolean;
  /** Takes the archive, resolves when it is sent. */
  send(bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface Transfers {
  /**
   * Stores the image under its names, with all content that the platforms need, unpacked where asked.
   * Content that is in flight is held by the scope's lease, or one of its own.
   */
  pull(scope: Scope, from: RegistryPlace, to: StorePlace, report: Report, signal: AbortSignal): Promise<void>;
  /**
   * Sends the image to the registry, its own name there last. Throws `not found` for the image, and for
   * content of a platform that is wanted and not here.
   */
  push(scope: Scope, from: StorePlace, to: RegistryPlace, report: Report, signal: AbortSignal): Promise<void>;
  /** Stores an archive's images under the names that it and `to` give. Throws `invalid argument` for no archive. */
  import(scope: Scope, from: ArchiveSource, to: StorePlace, report: Report, signal: AbortSignal): Promise<void>;
  /** Sends images as an archive. Throws `not found` for an image, and for content that is wanted and not here. */
  export(scope: Scope, from: StorePlace, to: ArchiveTarget, report: Report): Promise<void>;
  /** Sends the index of what refers to an image in its registry. */
  referrers(
    from: RegistryPlace,
    send: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Stores what an image points to under further names. Throws `not found`. */
  tag(scope: Scope, from: StorePlace, to: StorePlace): Promise<void>;
}
