// Converting: the same image in other types, its documents rewritten from the layers up.
import type { Client } from '../connect.ts';
import { ClientError } from '../errors.ts';
import { readJson, writeJson } from './content.ts';
import { platformMatch } from './platform.ts';
import { fromWire, readIndex, readManifest } from './resolve.ts';
import { createOrUpdate, holdContent } from './store.ts';
import { EROFS_LAYER, isIndex, isManifest, MEDIA, type Descriptor, type Platform } from './types.ts';

export interface ConvertOptions {
  /** Of an index only what suits one of these; all when empty. */
  readonly platforms: readonly Platform[];
  /** Docker's types become OCI's. */
  readonly toOci: boolean;
  /**
   * Stores another form of a layer with the same files; undefined: it stays as it is. The diff id must be the same, unless
   * it becomes an EROFS image.
   */
  readonly layer?: (layer: Descriptor) => Promise<Descriptor | undefined>;
}

/**
 * Stores the image `source`, converted, as `destination`; resolves with what that stands for. Content that
 * needs no change is shared. Run it under a lease: until the image exists nothing else holds new content.
 */
export async function convertImage(
  client: Client,
  source: string,
  destination: string,
  options: ConvertOptions,
): Promise<Descriptor> {
  const { image } = await client.images.Get({ name: source });
  if (!image?.target) throw new ClientError('not found', `image "${source}": not found`);
  const old = fromWire(image.target);
  const converted = await createConverter(client, options).convert(old);
  if (converted !== undefined) await holdContent(client, converted, undefined);
  const target = converted ?? old;
  await createOrUpdate(client, { name: destination, target }, image.labels);
  return target;
}

interface Converter {
  /** The descriptor of what has become of it; undefined when nothing has. */
  convert(descriptor: Descriptor): Promise<Descriptor | undefined>;
}

function createConverter(client: Client, options: ConvertOptions): Converter {
  // Layers that several platforms share are converted once.
  const layers = new Map<string, Promise<Descriptor | undefined>>();

  async function convert(descriptor: Descriptor): Promise<Descriptor | undefined> {
    const changed = await content(descriptor);
    const mediaType = changed?.mediaType ?? descriptor.mediaType;
    const type = options.toOci ? (OCI_TYPES[mediaType] ?? mediaType) : mediaType;
    if (changed === undefined && type === descriptor.mediaType) return undefined;
    const result = { ...descriptor, ...changed, mediaType: type };
    // Docker's documents have no annotations.
    if (isDocker(type)) delete (result as { annotations?: unknown }).annotations;
    return result;
  }

  async function content(descriptor: Descriptor): Promise<Descriptor | undefined> {
    if (isIndex(descriptor.mediaType)) return await index(descriptor);
    if (isManifest(descriptor.mediaType)) return await manifest(descriptor);
    if (options.layer === undefined || !isLayer(descriptor.mediaType)) return undefined;
    const known = layers.get(descriptor.digest) ?? options.layer(descriptor);
    layers.set(descriptor.digest, known);
    return await known;
  }

  async function index(descriptor: Descriptor): Promise<Descriptor | undefined> {
    const document = await readIndex(client, descriptor);
    const wanted = document.manifests.filter(({ platform }) => platform === undefined || suits(platform));
    if (wanted.length === 0)
      throw new ClientError('not found', `image ${descriptor.digest}: no manifest for these platforms: not found`);
    const manifests = await inTurn(wanted, convert);
    const dropped = wanted.length < document.manifests.length;
    return await rewritten(descriptor, document, dropped || manifests.changed, { manifests: manifests.all });
  }

  function suits(platform: Platform): boolean {
    return options.platforms.length === 0 || options.platforms.some((wanted) => exactly(wanted, platform));
  }

  async function manifest(descriptor: Descriptor): Promise<Descriptor | undefined> {
    const document = await readManifest(client, descriptor);
    const inner = await inTurn(document.layers, convert);
    const images = inner.all.map((layer, at) => (layer === document.layers[at] ? undefined : imageDigest(layer)));
    const config = images.some((image) => image !== undefined)
      ? await withDiffIds(document.config, images)
      : await convert(document.config);
    const changed = config !== undefined || inner.changed;
    return await rewritten(descriptor, document, changed, { config: config ?? document.config, layers: inner.all });
  }

  /** The config, with the diff ids of layers that have become images. */
  async function withDiffIds(config: Descriptor, images: readonly (string | undefined)[]): Promise<Descriptor> {
    const document = await readJson<{ readonly rootfs?: { readonly diff_ids?: readonly string[] } }>(client, config);
    const before = document.rootfs?.diff_ids ?? [];
    if (before.length !== images.length)
      throw new ClientError(
        'invalid argument',
        `config ${config.digest}: its layers are not the manifest's: invalid argument`,
      );
    const rootfs = { ...document.rootfs, diff_ids: before.map((id, at) => images[at] ?? id) };
    const mediaType = (options.toOci && OCI_TYPES[config.mediaType]) || config.mediaType;
    const written = await writeJson(client, mediaType, { ...document, rootfs });
    return { ...config, mediaType, digest: written.digest, size: written.size };
  }

  /** Fields that nobody knows here stay, all in their order. */
  async function rewritten(
    descriptor: Descriptor,
    document: { readonly mediaType?: string },
    changed: boolean,
    fields: object,
  ): Promise<Descriptor | undefined> {
    const type = OCI_TYPES[document.mediaType ?? ''];
    if (!changed && !(options.toOci && type !== undefined)) return undefined;
    const mediaType = options.toOci && type !== undefined ? { mediaType: type } : {};
    const written = await writeJson(client, descriptor.mediaType, { ...document, ...mediaType, ...fields });
    return { ...descriptor, digest: written.digest, size: written.size };
  }

  return { convert };
}

/** All of them, one after the other; those that nothing becomes of as they are. */
async function inTurn(
  descriptors: readonly Descriptor[],
  convert: (descriptor: Descriptor) => Promise<Descriptor | undefined>,
): Promise<{ readonly all: readonly Descriptor[]; readonly changed: boolean }> {
  const all: Descriptor[] = [];
  let changed = false;
  for (const descriptor of descriptors) {
    const converted = await convert(descriptor);
    changed ||= converted !== undefined;
    all.push(converted ?? descriptor);
  }
  return { all, changed };
}

/** Not what only happens to run there: an arm64 machine's image is not made of the one for arm. */
function exactly(wanted: Platform, offered: Platform): boolean {
  return wanted.architecture === offered.architecture && platformMatch(wanted, offered) > 0;
}

const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar';
const OCI_FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar';

const OCI_TYPES: Readonly<Record<string, string>> = {
  [MEDIA.dockerList]: MEDIA.ociIndex,
  [MEDIA.dockerManifest]: MEDIA.ociManifest,
  [MEDIA.dockerConfig]: MEDIA.ociConfig,
  [MEDIA.dockerLayer]: MEDIA.ociLayer,
  [`${MEDIA.dockerLayer}.gzip`]: `${MEDIA.ociLayer}+gzip`,
  [`${MEDIA.dockerLayer}.zstd`]: `${MEDIA.ociLayer}+zstd`,
  [FOREIGN]: OCI_FOREIGN,
  [`${FOREIGN}.gzip`]: `${OCI_FOREIGN}+gzip`,
};

const isDocker = (mediaType: string): boolean => mediaType.startsWith('application/vnd.docker.');

const imageDigest = ({ mediaType, digest }: Descriptor): string | undefined =>
  mediaType === EROFS_LAYER ? digest : undefined;

const isLayer = (mediaType: string): boolean =>
  [MEDIA.ociLayer, MEDIA.dockerLayer, FOREIGN, OCI_FOREIGN].some((type) => mediaType.startsWith(type));
