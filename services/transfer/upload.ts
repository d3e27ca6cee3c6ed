// A blob from the content store into a registry: not at all when it is there, without bytes when
// another repository of the host has it, else in one piece, and resumed where the registry can.
import type { Content } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure } from '../lib/errors.ts';
import type { Reference } from '../lib/references.ts';
import type { Descriptor } from './documents.ts';
import { sourceKey } from './labels.ts';
import type { Repository } from './registry/client.ts';
import { createRetries } from './registry/retry.ts';

export interface Upload {
  readonly scope: Scope;
  readonly descriptor: Descriptor;
  readonly to: Repository;
  readonly reference: Reference;
  /** So many bytes are there. */
  progress(bytes: number): void;
}

/** Resolves with whether bytes travelled; false when the registry has the blob already. */
export type Uploader = (upload: Upload, signal: AbortSignal) => Promise<boolean>;

const PIECE = 256 * 1024;

export function createUploader(content: Content): Uploader {
  return async (upload, signal) => {
    const { scope, descriptor, to, reference } = upload;
    const { digest, size } = descriptor;
    // A layer that was discarded once it was unpacked may still be there.
    if (await to.hasBlob(digest, signal)) return false;
    const { labels } = content.info(scope.namespace, digest);
    const from = mountCandidate(labels.get(sourceKey(reference)) ?? '', reference.repository);
    const blob = await content.open(scope.namespace, digest);
    try {
      let session = await to.beginUpload(digest, from, signal);
      if (session === undefined) return false;
      let sent = 0;
      const retries = createRetries();
      for (;;) {
        try {
          const bytes = async function* (start: number): AsyncGenerator<Buffer> {
            for (let at = start; at < size;) {
              const piece = await blob.read(at, PIECE);
              if (piece.length === 0) throw new Failure('data loss', `content ${digest} ends at ${at}: data loss`);
              yield piece;
              at += piece.length;
              upload.progress(at);
            }
          };
          await to.upload(session, { digest, size, offset: sent, bytes: bytes(sent) }, signal);
          return true;
        } catch (error) {
          await retries.next(error, signal);
        }
        const resumed = await to.uploadStatus(session, signal);
        if (resumed === undefined) session = await to.beginUpload(digest, undefined, signal);
        else session = resumed.session;
        sent = resumed?.offset ?? 0;
        if (session === undefined) return false;
      }
    } finally {
      await blob.close();
    }
  };
}

/** Of the repositories that have the blob, the one most like `target`. */
function mountCandidate(sources: string, target: string): string | undefined {
  const wanted = target.split('/');
  let best: string | undefined;
  let most = -1;
  for (const source of sources.split(',')) {
    if (source === '' || source === target) continue;
    const parts = source.split('/');
    const same = parts.findIndex((part, at) => part !== wanted[at]);
    const common = same < 0 ? parts.length : same;
    if (common > most) [best, most] = [source, common];
  }
  return best;
}
