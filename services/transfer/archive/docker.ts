// The archives of `docker save`: manifest.json names configs and layers; manifests are made from it.
import type { Content } from '../../content/api.ts';
import type { Scope } from '../../leases/api.ts';
import { invalidArgument } from '../../lib/errors.ts';
import { formatReference, parseReference } from '../../lib/references.ts';
import { MEDIA, parseConfig, type Descriptor } from '../documents.ts';
import { readDocument } from '../read.ts';
import { storeCompressed, storeDocument } from './blobs.ts';
import { clean, type DockerManifest, type Found, type StoredFile } from './found.ts';

const LAYER = 'application/vnd.docker.image.rootfs.diff.tar';

export function parseDockerManifests(bytes: Buffer): DockerManifest[] {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalidArgument('archive: manifest.json is not JSON', { cause: error });
  }
  if (!Array.isArray(value)) throw invalidArgument('archive: manifest.json is not a list');
  const texts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === 'string');
  return value.map((each: Readonly<Record<string, unknown>> | null) => {
    const { Config, RepoTags, Layers } = each ?? {};
    const tags = RepoTags ?? [];
    if (typeof Config !== 'string' || !texts(Layers) || !texts(tags)) {
      throw invalidArgument('archive: manifest.json has an entry without Config and Layers');
    }
    return { Config, Layers, RepoTags: tags };
  });
}

/** Makes and stores a manifest for each image; descriptors carry the names. */
export async function indexOfDocker(
  content: Content,
  scope: Scope,
  found: Found,
  manifests: readonly DockerManifest[],
  compress: boolean,
): Promise<Descriptor[]> {
  const images: Descriptor[] = [];
  for (const { Config, Layers, RepoTags } of manifests) {
    const config = fileOf(found, Config);
    const layers: Descriptor[] = [];
    for (const name of Layers) layers.push(await layerOf(content, scope, fileOf(found, name), compress));
    const configuration = { mediaType: MEDIA.dockerConfig, digest: config.digest, size: config.size };
    const document = { schemaVersion: 2, mediaType: MEDIA.dockerManifest, config: configuration, layers };
    const bytes = Buffer.from(JSON.stringify(document));
    const stored = await storeDocument(content, scope, MEDIA.dockerManifest, bytes);
    const { platform } = parseConfig(await readDocument(content, scope.namespace, config.digest), configuration);
    if (RepoTags.length === 0) images.push({ ...stored, platform });
    for (const tag of RepoTags) {
      const reference = parseReference(tag);
      const annotations = {
        'io.containerd.image.name': formatReference(reference),
        'org.opencontainers.image.ref.name': reference.tag ?? reference.digest ?? '',
      };
      images.push({ ...stored, platform, annotations });
    }
  }
  return images;
}

function fileOf(found: Found, name: string): StoredFile {
  let path = clean(name);
  for (let hops = 0; found.links.has(path) && hops < 16; hops++) path = found.links.get(path) ?? path;
  const file = found.files.get(path);
  if (file === undefined) throw invalidArgument(`archive: manifest.json names "${name}", which is not there`);
  return file;
}

async function layerOf(content: Content, scope: Scope, file: StoredFile, compress: boolean): Promise<Descriptor> {
  const { digest, size, compression } = file;
  if (compression === '' && compress) {
    const packed = await storeCompressed(content, scope, digest);
    return { mediaType: `${LAYER}.gzip`, digest: packed.digest, size: packed.size };
  }
  return { mediaType: compression === '' ? LAYER : `${LAYER}.${compression}`, digest, size };
}
