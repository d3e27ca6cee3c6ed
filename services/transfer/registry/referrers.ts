// What refers to a manifest: signatures, lists of parts, other documents about it (OCI distribution 1.1). Registries
// from before that API keep a list under a tag, which whoever pushes such a document brings up to date.
import { Failure } from '../../lib/errors.ts';
import { descriptorOf, MAX_DOCUMENT, MEDIA, parseIndex, type Descriptor } from '../documents.ts';
import { Refusal } from './errors.ts';
import type { Answer } from './http.ts';
import { readLimited } from './limited.ts';

interface Got {
  readonly answer: Answer;
  readonly url: URL;
}

/** One document of the registry; `path` is one below the repository, or where the registry said. */
type Get = (path: string | URL) => Promise<Got>;

/** To the host that takes pushes. */
type Send = (request: {
  readonly method: 'GET' | 'PUT';
  readonly path: string | URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly accept: readonly number[];
}) => Promise<Got>;

const MAX_PAGES = 100;
const MAX_REFERRERS = 10_000;
const NO_SUCH_API = new Set([400, 404, 405, 406, 501]);

/** By the API, however many pages that takes. */
export async function referrersByApi(digest: string, get: Get): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = [];
  let next: string | URL | undefined = `/referrers/${digest}`;
  for (let pages = 0; next !== undefined; pages++) {
    const { answer, url }: Got = await get(next);
    found.push(...(await listIn(answer, digest)));
    if (found.length > MAX_REFERRERS || pages === MAX_PAGES)
      throw new Failure('resource exhausted', `referrers of ${digest}: more than ${MAX_REFERRERS}: resource exhausted`);
    next = nextPage(answer.header('link'), url);
  }
  return found;
}

/** By the tag; none when there is no such tag. */
export async function referrersByTag(digest: string, get: Get): Promise<readonly Descriptor[]> {
  try {
    const { answer } = await get(`/manifests/${tagOf(digest)}`);
    return await listIn(answer, digest);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return [];
    throw error;
  }
}

/** Whether this is how a registry answers that does not know the API. */
export function isWithoutApi(error: unknown): boolean {
  return error instanceof Refusal && NO_SUCH_API.has(error.status);
}

/** What a manifest refers to; undefined for one that stands for itself. */
export function subjectOf(manifest: Buffer): string | undefined {
  const { subject } = JSON.parse(manifest.toString('utf8')) as { readonly subject?: unknown };
  return subject === undefined || subject === null ? undefined : descriptorOf(subject, 'manifest: subject').digest;
}

/** Adds a manifest that was pushed to the list of its subject's tag, unless the registry knows the API. */
export async function listUnderTag(
  { mediaType, digest, size }: Descriptor,
  manifest: Buffer,
  subject: string,
  send: Send,
): Promise<void> {
  const get: Get = (path) => send({ method: 'GET', path, headers: { accept: MEDIA.ociIndex }, accept: [200] });
  try {
    const { answer } = await get(`/referrers/${subject}`);
    return answer.discard();
  } catch (error) {
    if (!isWithoutApi(error)) throw error;
  }
  const known = await referrersByTag(subject, get);
  if (known.some((each) => each.digest === digest)) return;
  const { artifactType, config, annotations } = JSON.parse(manifest.toString('utf8')) as Readonly<
    Record<string, unknown>
  > & { readonly config?: { readonly mediaType?: unknown } };
  const own = descriptorOf(
    { mediaType, digest, size, artifactType: artifactType || config?.mediaType, annotations },
    'referrer',
  );
  const body = Buffer.from(JSON.stringify(indexOf([...known, own])));
  const headers = { 'content-type': MEDIA.ociIndex, 'content-length': String(body.length) };
  const path = `/manifests/${tagOf(subject)}`;
  const { answer } = await send({ method: 'PUT', path, headers, body, accept: [200, 201, 202] });
  answer.discard();
}

export function indexOf(manifests: readonly Descriptor[]): object {
  return { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests };
}

async function listIn(answer: Answer, digest: string): Promise<readonly Descriptor[]> {
  const bytes = await readLimited(answer.body, MAX_DOCUMENT, `referrers of ${digest}`);
  return parseIndex(bytes, { mediaType: MEDIA.ociIndex, digest: `of referrers of ${digest}`, size: bytes.length });
}

function tagOf(digest: string): string {
  return digest.replace(':', '-').slice(0, 128);
}

/** Of the header Link. Only this very registry may go on with its list. */
function nextPage(link: string | undefined, from: URL): URL | undefined {
  const text = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (text === undefined) return undefined;
  const next = URL.canParse(text, from.href) ? new URL(text, from.href) : undefined;
  if (next?.origin === from.origin) return next;
  throw new Failure('unavailable', `${from.host}: its list goes on at "${text.slice(0, 200)}": unavailable`);
}
