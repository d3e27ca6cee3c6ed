// What an archive held, as far as it was read.

/** How a file is compressed, as its first bytes say. */
export type Compression = '' | 'gzip' | 'zstd';

/** An entry of Docker's manifest.json. */
export interface DockerManifest {
  readonly Config: string;
  readonly RepoTags: readonly string[];
  readonly Layers: readonly string[];
}

export interface StoredFile {
  readonly digest: string;
  readonly size: number;
  readonly compression: Compression;
}

/** What was found so far. */
export interface Found {
  layout: boolean;
  index: Buffer | undefined;
  docker: readonly DockerManifest[] | undefined;
  readonly files: Map<string, StoredFile>;
  readonly links: Map<string, string>;
}

/** Without leading slashes, `.` and `..`. */
export function clean(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

export function compressionOf(head: Buffer): Compression {
  if (head.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) return 'gzip';
  return head.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])) ? 'zstd' : '';
}
