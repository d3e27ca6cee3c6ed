// The requests of which a push is made.
import { digestOf } from '../../lib/digest.ts';
import { Failure, isNotFound } from '../../lib/errors.ts';
import type { Descriptor } from '../documents.ts';
import type { Answer, Exchange } from './http.ts';
import { listUnderTag, subjectOf } from './referrers.ts';
import { createRetries } from './retry.ts';

export interface PushRequest {
  readonly method: Exchange['method'];
  /** Below the repository: `/blobs/uploads/`; or where the registry said. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Exchange['body'];
  /** Statuses that are an answer, not a failure. */
  readonly accept: readonly number[];
  /** A repository whose blobs are to be read, too. */
  readonly from?: string | undefined;
}

/** Sends to the host that takes pushes; authorized, not retried. */
export type SendPush = (request: PushRequest, signal: AbortSignal) => Promise<{ answer: Answer; url: URL }>;

export interface UploadBytes {
  readonly digest: string;
  readonly size: number;
  /** Where the registry goes on. */
  readonly offset: number;
  /** From there to the end. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface Pusher {
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Where to upload to; undefined when the registry took the blob from the repository `from`. */
  beginUpload(digest: string, from: string | undefined, signal: AbortSignal): Promise<URL | undefined>;
  upload(session: URL, upload: UploadBytes, signal: AbortSignal): Promise<void>;
  /** How far an upload that was cut is; undefined when it is to begin anew. */
  uploadStatus(session: URL, signal: AbortSignal): Promise<{ session: URL; offset: number } | undefined>;
  /**
   * Resolves with whether it was sent; not when the registry has just this under the name. One that refers to another
   * is put on the other's list.
   */
  putManifest(name: string, descriptor: Descriptor, body: Buffer, signal: AbortSignal): Promise<boolean>;
}

export function createPusher(send: SendPush): Pusher {
  const retried = (request: PushRequest, signal: AbortSignal) =>
    createRetries().run(signal, () => send(request, signal));

  return {
    async hasBlob(digest, signal) {
      try {
        const { answer } = await retried({ method: 'HEAD', path: `/blobs/${digest}`, accept: [200] }, signal);
        answer.discard();
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        throw error;
      }
    },

    async beginUpload(digest, from, signal) {
      const query = from === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(from)}`;
      const path = `/blobs/uploads/${query}`;
      let begun: { answer: Answer; url: URL };
      try {
        begun = await retried({ method: 'POST', path, accept: [201, 202], from }, signal);
      } catch (error) {
        // Who may not read the other repository still may write to this one.
        if (from === undefined || signal.aborted) throw error;
        begun = await retried({ method: 'POST', path: '/blobs/uploads/', accept: [201, 202] }, signal);
      }
      begun.answer.discard();
      return begun.answer.status === 201 ? undefined : locationOf(begun);
    },

    async upload(session, { digest, size, offset, bytes }, signal) {
      const type = { 'content-type': 'application/octet-stream' };
      let target = session;
      const headers: Record<string, string> = { ...type, 'content-length': String(size - offset) };
      if (offset > 0) {
        headers['content-range'] = `${offset}-${size - 1}`;
        const sent = await send({ method: 'PATCH', path: session, headers, body: bytes, accept: [202] }, signal);
        sent.answer.discard();
        target = locationOf(sent);
        headers['content-length'] = '0';
        delete headers['content-range'];
      }
      const url = new URL(target.href);
      url.searchParams.set('digest', digest);
      const body = offset > 0 ? undefined : bytes;
      const { answer } = await send({ method: 'PUT', path: url, headers, body, accept: [201, 204] }, signal);
      answer.discard();
    },

    async uploadStatus(session, signal) {
      try {
        const asked = await send({ method: 'GET', path: session, accept: [202, 204] }, signal);
        asked.answer.discard();
        const end = /^0-(\d+)$/.exec(asked.answer.header('range') ?? '')?.[1];
        if (end === undefined) return undefined;
        return { session: locationOf(asked), offset: Number(end) + 1 };
      } catch (error) {
        if (signal.aborted) throw error;
        return undefined;
      }
    },

    async putManifest(name, descriptor, body, signal) {
      const { mediaType, digest } = descriptor;
      if (digestOf(body) !== digest && digest.startsWith('sha256:')) {
        throw new Failure('data loss', `content ${digest} has another digest: data loss`);
      }
      const path = `/manifests/${name}`;
      const subject = subjectOf(body);
      const listed = async (): Promise<void> => {
        if (subject !== undefined) await listUnderTag(descriptor, body, subject, (request) => retried(request, signal));
      };
      try {
        const head = { method: 'HEAD', path, headers: { accept: mediaType }, accept: [200] } as const;
        const { answer } = await retried(head, signal);
        answer.discard();
        if (answer.header('docker-content-digest') === digest) {
          await listed();
          return false;
        }
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      const headers = { 'content-type': mediaType, 'content-length': String(body.length) };
      const { answer } = await retried({ method: 'PUT', path, headers, body, accept: [200, 201, 202] }, signal);
      answer.discard();
      const stored = answer.header('docker-content-digest') ?? digest;
      if (stored !== digest && name.includes(':'))
        throw new Failure('data loss', `manifest ${digest}: the registry stored it as ${stored}: data loss`);
      if (answer.header('oci-subject') === undefined) await listed();
      return true;
    },
  };
}

function locationOf({ answer, url }: { answer: Answer; url: URL }): URL {
  const location = answer.header('location');
  if (location === undefined || !URL.canParse(location, url.href)) {
    throw new Failure('unavailable', `${url.host}: an upload without a location: unavailable`);
  }
  const next = new URL(location, url);
  if (url.protocol === 'https:' && next.protocol !== 'https:') {
    // Behind a proxy that ends TLS, registries often do not know how they are reached.
    if (next.hostname !== url.hostname) {
      throw new Failure('permission denied', `${url.host}: upload sent from https to ${next.host}: permission denied`);
    }
    next.protocol = 'https:';
    next.port = url.port;
  }
  return next;
}
