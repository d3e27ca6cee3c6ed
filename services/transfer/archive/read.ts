// Reading image archives: an OCI layout or the output of `docker save`, into the content store.
import { createHash } from 'node:crypto';
import type { Content } from '../../content/api.ts';
import type { Scope } from '../../leases/api.ts';
import { parseDigest } from '../../lib/digest.ts';
import { invalidArgument } from '../../lib/errors.ts';
import { createLimit } from '../../lib/limit.ts';
import type { ArchiveSource } from '../api.ts';
import { MAX_DOCUMENT, parseIndex, type Descriptor } from '../documents.ts';
import { together } from '../together.ts';
import { storeBlob, storeDocument } from './blobs.ts';
import { indexOfDocker, parseDockerManifests } from './docker.ts';
import { clean, type Found } from './found.ts';
import { listMembers, readMembers, type Member } from './members.ts';

/** What an archive held. */
export interface Archive {
  /** The document that lists its images, stored. */
  readonly index: Descriptor;
  readonly images: readonly Descriptor[];
}

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
/** Members of a file that are stored side by side: one is hashed and copied while another is brought to disk. */
const WIDTH = 3;

/** Stores all blobs of the archive and the list of its images. Throws `invalid argument` for anything else. */
export async function readArchive(
  content: Content,
  scope: Scope,
  { bytes, file, compress }: ArchiveSource,
  signal: AbortSignal,
): Promise<Archive> {
  const found: Found = { layout: false, index: undefined, docker: undefined, files: new Map(), links: new Map() };
  const members = file === undefined ? undefined : await listMembers(file, signal);
  if (members === undefined) {
    await readMembers(bytes, (member) => take(content, scope, found, member, signal), signal);
  } else {
    const limit = createLimit(WIDTH);
    // Of several with one name the last one counts, as in a stream.
    const named = new Map(members.map((member) => [clean(member.name), member]));
    const works = [...named.values()].map(
      (member) => (joint: AbortSignal) => limit(() => take(content, scope, found, member, joint), joint),
    );
    await together(signal, works);
  }
  if (found.layout && found.index !== undefined) {
    const descriptor = { mediaType: OCI_INDEX, digest: 'index.json', size: found.index.length };
    const images = parseIndex(withoutType(found.index), descriptor);
    return { index: await storeDocument(content, scope, OCI_INDEX, found.index), images };
  }
  if (found.docker === undefined)
    throw invalidArgument('archive: neither an OCI layout nor the output of `docker save`');
  const images = await indexOfDocker(content, scope, found, found.docker, compress);
  const document = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: images };
  return { index: await storeDocument(content, scope, OCI_INDEX, Buffer.from(JSON.stringify(document))), images };
}

async function take(
  content: Content,
  scope: Scope,
  found: Found,
  { type, name: path, link, size, data }: Member,
  signal: AbortSignal,
): Promise<void> {
  const name = clean(path);
  if (type === 'symlink' || type === 'link') {
    found.links.set(name, clean(type === 'link' ? link : `${name}/../${link}`));
    return;
  }
  if (type !== 'file') return;
  if (name === 'oci-layout') {
    if (!/"imageLayoutVersion"\s*:\s*"1\.0\.\d+"/.test((await data.read(MAX_DOCUMENT)).toString('utf8'))) {
      throw invalidArgument('archive: the OCI layout is not of version 1.0');
    }
    found.layout = true;
  } else if (name === 'index.json') {
    found.index = await data.read(MAX_DOCUMENT);
  } else if (name === 'manifest.json') {
    found.docker = parseDockerManifests(await data.read(MAX_DOCUMENT));
  } else {
    const [, algorithm, encoded] = /^blobs\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
    const digest = `${algorithm}:${encoded}`;
    const known = algorithm !== undefined && typeof parseDigest(digest) !== 'string' ? digest : undefined;
    const ref = `import-${known ?? createHash('sha256').update(`${process.hrtime.bigint()} ${name}`).digest('hex')}`;
    found.files.set(name, await storeBlob(content, scope, { ref, digest: known, size }, data.bytes, signal));
  }
}

/** The index of a layout need not say what it is, and may say anything that means it. */
function withoutType(index: Buffer): Buffer {
  try {
    const { mediaType: _own, ...rest } = JSON.parse(index.toString('utf8')) as Record<string, unknown>;
    return Buffer.from(JSON.stringify(rest));
  } catch {
    return index;
  }
}
