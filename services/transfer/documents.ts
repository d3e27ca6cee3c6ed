// The documents that images are made of, OCI's and Docker's schema 2. They come from strangers: each
// is checked in full before anything of it is used.
import { parseDigest } from '../lib/digest.ts';
import { type Failure, invalidArgument } from '../lib/errors.ts';
import type { Platform } from '../lib/platforms.ts';

export interface Descriptor {
  readonly mediaType: string;
  /** What it is, where the media type does not say. */
  readonly artifactType?: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  /** Other places for the bytes. */
  readonly urls?: readonly string[];
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Manifests, indexes, configs: more is an attack, not an image. */
export const MAX_DOCUMENT = 8 * 1024 * 1024;

/** Of a media type; those of RFC 6838 are shorter. */
const MAX_TYPE = 255;

export const MEDIA = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/;
const CONFIGS = new Set<string>([
  MEDIA.ociConfig,
  MEDIA.dockerConfig,
  'application/vnd.containerd.container.checkpoint.config.v1+proto',
]);

export const isManifest = (type: string): boolean => type === MEDIA.ociManifest || type === MEDIA.dockerManifest;
export const isIndex = (type: string): boolean => type === MEDIA.ociIndex || type === MEDIA.dockerList;
export const isConfig = (type: string): boolean => CONFIGS.has(type);
export const isLayer = (type: string): boolean =>
  ['application/vnd.oci.image.layer.', 'application/vnd.docker.image.rootfs.', 'application/vnd.erofs.layer.'].some(
    (prefix) => type.startsWith(prefix),
  );
/** Layers that their publisher does not want copied. */
export const isNonDistributable = (type: string): boolean => /nondistributable|foreign/.test(type);

/** What names the descriptor's ingest and its progress, in containerd's words. */
export function refKey({ mediaType, digest, annotations }: Descriptor): string {
  const name = annotations?.['org.opencontainers.image.ref.name'];
  const key = name === undefined ? digest : `${name}@${digest}`;
  if (isManifest(mediaType)) return `manifest-${key}`;
  if (isIndex(mediaType)) return `index-${key}`;
  if (isLayer(mediaType)) return `layer-${key}`;
  if (isConfig(mediaType)) return `config-${key}`;
  return `${mediaType === 'application/vnd.in-toto+json' ? 'attestation' : 'unknown'}-${key}`;
}

/** Throws `invalid argument` for Docker's schema 1, which nothing here understands. */
export function refuseSchema1(mediaType: string): void {
  if (!SCHEMA_1.test(mediaType)) return;
  throw invalidArgument(
    'schema 1 image manifests are no longer supported; push the image anew with a Docker of 2016 or later',
  );
}

type Json = Readonly<Record<string, unknown>>;

/** A manifest. A document that claims to be both manifest and index is refused (CVE-2021-41190). */
export function parseManifest(bytes: Buffer, { mediaType, digest }: Descriptor): Manifest {
  const document = documentOf(bytes, mediaType, digest);
  if (document['manifests'] !== undefined) throw wrong('manifest', digest, 'is an index as well');
  if (!Array.isArray(document['layers'])) throw wrong('manifest', digest, 'has no layers');
  return {
    config: descriptorOf(document['config'], `manifest ${digest}: config`),
    layers: document['layers'].map((layer, at) => descriptorOf(layer, `manifest ${digest}: layer ${at}`)),
  };
}

/** The manifests of an index. */
export function parseIndex(bytes: Buffer, { mediaType, digest }: Descriptor): readonly Descriptor[] {
  const document = documentOf(bytes, mediaType, digest);
  if (document['config'] !== undefined || document['layers'] !== undefined) {
    throw wrong('index', digest, 'is a manifest as well');
  }
  if (!Array.isArray(document['manifests'])) throw wrong('index', digest, 'has no manifests');
  return document['manifests'].map((each, at) => descriptorOf(each, `index ${digest}: manifest ${at}`));
}

export interface ImageConfig {
  readonly platform: Platform;
  readonly diffIds: readonly string[];
}

/** What unpacking needs of an image's config. */
export function parseConfig(bytes: Buffer, { digest }: Descriptor): ImageConfig {
  const document = objectIn(bytes, 'config', digest);
  const rootfs = objectOf(document['rootfs']);
  const ids = rootfs?.['diff_ids'];
  if (!Array.isArray(ids)) throw wrong('config', digest, 'has no rootfs.diff_ids');
  const diffIds = ids.map((id: unknown, at) => digestOf(id, `config ${digest}: diff id ${at}`));
  return { platform: platformOf(document), diffIds };
}

/** The type that a document gives itself; undefined when it does not say. */
export function mediaTypeIn(bytes: Buffer, what: string): string | undefined {
  const document = objectIn(bytes, 'manifest', what);
  const type = document['mediaType'];
  if (typeof type === 'string') return type;
  if (document['schemaVersion'] === 1) return 'application/vnd.docker.distribution.manifest.v1+json';
  return undefined;
}

function documentOf(bytes: Buffer, mediaType: string, digest: string): Json {
  const what = isIndex(mediaType) ? 'index' : 'manifest';
  const document = objectIn(bytes, what, digest);
  const own = document['mediaType'];
  if (own !== undefined && own !== '' && own !== mediaType) {
    throw wrong(what, digest, `calls itself ${shown(own)}, its descriptor says ${mediaType}`);
  }
  return document;
}

function objectIn(bytes: Buffer, what: string, digest: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalidArgument(`${what} ${digest}: not JSON`, { cause: error });
  }
  const object = objectOf(value);
  if (object === undefined) throw wrong(what, digest, 'is not an object');
  return object;
}

function objectOf(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

/** Throws `invalid argument` for what is no descriptor; `what` begins the message. */
export function descriptorOf(value: unknown, what: string): Descriptor {
  const object = objectOf(value);
  const { mediaType, artifactType, size, annotations, platform, urls } = object ?? {};
  if (object === undefined || typeof mediaType !== 'string' || mediaType.length > MAX_TYPE)
    throw invalidArgument(`${what} is no descriptor`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalidArgument(`${what} has the size ${shown(size)}`);
  }
  const texts = Object.entries(objectOf(annotations) ?? {}).filter(([, text]) => typeof text === 'string');
  const given = objectOf(platform);
  return {
    mediaType,
    ...(typeof artifactType === 'string' && artifactType.length <= MAX_TYPE ? { artifactType } : {}),
    digest: digestOf(object['digest'], what),
    size,
    ...(texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) as Record<string, string> }),
    ...(given === undefined ? {} : { platform: platformOf(given) }),
    ...(Array.isArray(urls) ? { urls: urls.filter((url) => typeof url === 'string') } : {}),
  };
}

function digestOf(value: unknown, what: string): string {
  const problem = typeof value === 'string' ? parseDigest(value) : 'invalid checksum digest format';
  if (typeof problem === 'string') throw invalidArgument(`${what} has the digest ${shown(value)}: ${problem}`);
  return value as string;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 100);
}

function platformOf({ os, architecture, variant }: Json): Platform {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return { os: text(os), architecture: text(architecture), variant: text(variant) };
}

function wrong(what: string, digest: string, why: string): Failure {
  return invalidArgument(`${what} ${digest} ${why}`);
}
