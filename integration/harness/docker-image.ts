// An image as Docker's registries have it: a list of manifests for two platforms, in Docker's types.
import { layeredImage, sha256, type Descriptor, type TestImage } from './image.ts';
import { tar } from './tar.ts';

const DOCKER = 'application/vnd.docker.';

/** An archive with the layered image for this machine's architecture and for another one. */
export function dockerList(name = 'docker.io/test/platforms:latest'): Buffer {
  const blobs = new Map<string, Buffer>();
  const add = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = sha256(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const image = layeredImage(name);
  const architectures = process.arch === 'arm64' ? ['arm64', 'amd64'] : ['amd64', 'arm64'];
  const manifests = architectures.map((architecture) => ({
    ...manifest(image, architecture, add),
    platform: { architecture, os: 'linux' },
  }));
  const list = { schemaVersion: 2, mediaType: `${DOCKER}distribution.manifest.list.v2+json`, manifests };
  const target = add(list.mediaType, Buffer.from(JSON.stringify(list)));
  const index = {
    schemaVersion: 2,
    manifests: [{ ...target, annotations: { 'io.containerd.image.name': name } }],
  };
  return tar([
    { name: 'oci-layout', content: JSON.stringify({ imageLayoutVersion: '1.0.0' }) },
    { name: 'index.json', content: JSON.stringify(index) },
    { name: 'blobs', type: 'directory' },
    { name: 'blobs/sha256', type: 'directory' },
    ...[...blobs].map(([digest, content]) => ({ name: `blobs/${digest.replace(':', '/')}`, content })),
  ]);
}

function manifest(
  image: TestImage,
  architecture: string,
  add: (mediaType: string, bytes: Buffer) => Descriptor,
): Descriptor {
  const config = JSON.parse(String(image.blobs.get(image.config.digest))) as object;
  const document = {
    schemaVersion: 2,
    mediaType: `${DOCKER}distribution.manifest.v2+json`,
    config: add(`${DOCKER}container.image.v1+json`, Buffer.from(JSON.stringify({ ...config, architecture }))),
    layers: image.layers.map(({ bytes }) => add(`${DOCKER}image.rootfs.diff.tar.gzip`, bytes)),
  };
  return add(document.mediaType, Buffer.from(JSON.stringify(document)));
}
