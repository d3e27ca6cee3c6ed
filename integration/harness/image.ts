// Images made on the spot: no network, nothing but busybox from the machine.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { tar, type TarEntry } from './tar.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed archive. */
  readonly diffId: string;
  readonly bytes: Buffer;
}

/** An image held in memory: its blobs, and what a client needs to register it. */
export interface TestImage {
  readonly name: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Layer[];
  /** Bytes of every blob, by digest. */
  readonly blobs: ReadonlyMap<string, Buffer>;
}

export interface ImageConfig {
  readonly Cmd?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

const MEDIA = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

const BUSYBOX = '/usr/bin/busybox';
const APPLETS = [
  'sh',
  'ash',
  'true',
  'false',
  'sleep',
  'echo',
  'cat',
  'ls',
  'id',
  'env',
  'pwd',
  'ps',
  'kill',
  'touch',
  'mkdir',
  'rm',
  'mount',
  'umount',
  'grep',
  'head',
  'tail',
  'wc',
  'dd',
  'stat',
  'stty',
  'hostname',
  'tty',
  'seq',
  'od',
  'yes',
  'test',
  'ip',
  'date',
  'readlink',
  'mknod',
  'chmod',
  'chown',
  'ln',
  'mv',
  'cp',
  'tr',
  'cut',
  'sort',
  'usleep',
  'awk',
  'sed',
  'df',
  'nproc',
  'reboot',
  'ping',
  'mktemp',
  'find',
  'uname',
];

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const describe = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
});

/** The root file system that every test image starts from. */
export function busyboxEntries(): TarEntry[] {
  const directories = ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'root', 'home', 'var', 'run'];
  return [
    ...directories.map((name): TarEntry => ({ name, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755 })),
    { name: 'bin/busybox', content: readFileSync(BUSYBOX), mode: 0o755 },
    ...APPLETS.map((name): TarEntry => ({ name: `bin/${name}`, type: 'symlink', target: 'busybox' })),
    { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n' },
    { name: 'etc/group', content: 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' },
  ];
}

export function makeLayer(entries: readonly TarEntry[]): Layer {
  const archive = tar(entries);
  const bytes = gzipSync(archive, { level: 1 });
  return { descriptor: describe(MEDIA.layer, bytes), diffId: sha256(archive), bytes };
}

export function makeImage(name: string, layers: readonly Layer[], config: ImageConfig = {}): TestImage {
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'], ...config },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'test' })),
    }),
  );
  const configDescriptor = describe(MEDIA.config, configBytes);
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.manifest,
      config: configDescriptor,
      layers: layers.map((layer) => layer.descriptor),
    }),
  );
  const manifest = describe(MEDIA.manifest, manifestBytes);
  const blobs = new Map([
    [manifest.digest, manifestBytes],
    [configDescriptor.digest, configBytes],
    ...layers.map((layer): [string, Buffer] => [layer.descriptor.digest, layer.bytes]),
  ]);
  return { name, manifest, config: configDescriptor, layers, blobs };
}

/** An OCI image layout archive of the images, as `ctr image import` takes it. */
export function ociArchive(images: readonly TestImage[]): Buffer {
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA.index,
    manifests: images.map((image) => ({
      ...image.manifest,
      platform: { architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux' },
      annotations: {
        'io.containerd.image.name': image.name,
        'org.opencontainers.image.ref.name': image.name.split(':').at(-1) ?? 'latest',
      },
    })),
  };
  const blobs = new Map(images.flatMap((image) => [...image.blobs]));
  return tar([
    { name: 'oci-layout', content: JSON.stringify({ imageLayoutVersion: '1.0.0' }) },
    { name: 'index.json', content: JSON.stringify(index) },
    { name: 'blobs', type: 'directory' },
    { name: 'blobs/sha256', type: 'directory' },
    ...[...blobs].map(([digest, content]): TarEntry => ({
      name: `blobs/sha256/${digest.slice('sha256:'.length)}`,
      content,
    })),
  ]);
}

/** Busybox in one layer. */
export function busyboxImage(name = 'docker.io/test/busybox:latest'): TestImage {
  return makeImage(name, [makeLayer(busyboxEntries())]);
}

/** Busybox whose configuration names an unprivileged user, a directory and an environment. */
export function userImage(name = 'docker.io/test/user:latest'): TestImage {
  return makeImage(name, [makeLayer([...busyboxEntries(), { name: 'home/note', content: 'of its own\n' }])], {
    User: '1000:1000',
    WorkingDir: '/home',
    Env: ['PATH=/bin', 'FROM_IMAGE=yes'],
    Labels: { 'test.label': 'from-image' },
  });
}

/** Three layers: what the upper ones remove, replace, hide and link is listed in LAYERED. */
export function layeredImage(name = 'docker.io/test/layered:latest'): TestImage {
  const base = makeLayer([
    ...busyboxEntries(),
    { name: 'data', type: 'directory' },
    { name: 'data/removed', content: 'never seen\n' },
    { name: 'data/replaced', content: 'old\n' },
    { name: 'data/kept', content: 'kept\n' },
    { name: 'gone', type: 'directory' },
    { name: 'gone/inside', content: 'never seen\n' },
    { name: 'opaque', type: 'directory' },
    { name: 'opaque/old', content: 'never seen\n' },
  ]);
  const middle = makeLayer([
    { name: 'data', type: 'directory' },
    { name: 'data/.wh.removed' },
    { name: 'data/replaced', content: 'new\n' },
    { name: '.wh.gone' },
    { name: 'opaque', type: 'directory' },
    { name: 'opaque/.wh..wh..opq' },
    { name: 'opaque/fresh', content: 'fresh\n' },
  ]);
  const top = makeLayer([
    { name: 'top', type: 'directory', mode: 0o700 },
    { name: 'top/owned', content: 'owned\n', uid: 1000, gid: 2000, mode: 0o640 },
    { name: 'top/setuid', content: '#!/bin/sh\n', mode: 0o4755 },
    { name: 'top/link', type: 'symlink', target: '../data/kept' },
    // An archive repeats the attributes of the file that a hard link names.
    { name: 'top/hard', type: 'hardlink', target: 'top/owned', uid: 1000, gid: 2000, mode: 0o640 },
    { name: 'top/pipe', type: 'fifo' },
    { name: `top/${'n'.repeat(150)}`, content: 'long name\n' },
  ]);
  return makeImage(name, [base, middle, top]);
}

/** Shell commands that print `ok` in a container of layeredImage exactly when every layer was applied rightly. */
export const LAYERED_CHECK = [
  'set -e',
  'test ! -e /data/removed',
  'test "$(cat /data/replaced)" = new',
  'test "$(cat /data/kept)" = kept',
  'test ! -e /gone',
  'test ! -e /opaque/old',
  'test "$(cat /opaque/fresh)" = fresh',
  'test "$(stat -c %a:%u:%g /top/owned)" = 640:1000:2000',
  'test "$(stat -c %a /top/setuid)" = 4755',
  'test "$(stat -c %a /top)" = 700',
  'test "$(readlink /top/link)" = ../data/kept',
  'test "$(stat -c %i /top/hard)" = "$(stat -c %i /top/owned)"',
  'test -p /top/pipe',
  'test "$(ls /top | wc -l)" = 6',
  'test -z "$(find / -xdev -name ".wh.*" 2>/dev/null)"',
  'echo ok',
].join('\n');
