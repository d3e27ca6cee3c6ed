// Documents from the content store.
import type { ContentReader } from '../content/api.ts';
import { Failure, isNotFound } from '../lib/errors.ts';
import { isIndex, isManifest, MAX_DOCUMENT, parseIndex, parseManifest, type Descriptor } from './documents.ts';

/** Throws `resource exhausted` for what is too large to be a document; `not found`. */
export async function readDocument(content: ContentReader, namespace: string, digest: string): Promise<Buffer> {
  const { size } = content.info(namespace, digest);
  if (size > MAX_DOCUMENT) {
    throw new Failure('resource exhausted', `${digest}: a document of ${size} bytes: resource exhausted`);
  }
  const blob = await content.open(namespace, digest);
  try {
    return await blob.read(0, size);
  } finally {
    await blob.close();
  }
}

/** What a document names: an index its manifests, a manifest its config and layers, anything else nothing. */
export async function readChildren(
  content: ContentReader,
  namespace: string,
  descriptor: Descriptor,
): Promise<readonly Descriptor[]> {
  if (isIndex(descriptor.mediaType)) {
    return parseIndex(await readDocument(content, namespace, descriptor.digest), descriptor);
  }
  if (!isManifest(descriptor.mediaType)) return [];
  const { config, layers } = parseManifest(await readDocument(content, namespace, descriptor.digest), descriptor);
  return [config, ...layers];
}

/** For the failures of who needs a layer: says why it may not be here, and how to get it. */
export function missingLayer({ digest }: Descriptor): (error: unknown) => never {
  return (error) => {
    if (!isNotFound(error) || !(error instanceof Failure) || !error.message.startsWith('content digest ')) throw error;
    throw new Failure(
      'not found',
      `layer ${digest} is not here: layers may be discarded once they are unpacked (discard_unpacked_layers, ` +
        `davit content prune references), and foreign platforms' are not pulled; pull the image again with ` +
        `--no-unpack, or with --all-platforms: content digest ${digest}: not found`,
      { cause: error },
    );
  };
}
