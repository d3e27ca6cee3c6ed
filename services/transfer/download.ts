// A registry's blob into the content store: resumed where an earlier attempt ended, checked, and
// fetched once however many clients and namespaces want it at the same time.
import type { Content, Writer } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure, isAlreadyExists, kindOf } from '../lib/errors.ts';
import { claim } from './claim.ts';
import type { Descriptor } from './documents.ts';
import { refKey } from './documents.ts';
import type { Jobs } from './jobs.ts';
import type { Repository } from './registry/client.ts';
import { createRetries } from './registry/retry.ts';

export interface DownloadDeps {
  readonly content: Content;
  readonly jobs: Jobs;
  /** Namespaces share content, and so downloads. */
  readonly shared: boolean;
  /** Milliseconds in which SLOWEST_BYTES must come, and to wait before another try; a minute and a moment where left out. */
  readonly patience?: { readonly slowest: number; readonly retry: number };
}

export interface Download {
  readonly scope: Scope;
  readonly descriptor: Descriptor;
  readonly from: Repository;
  /** So many bytes are here. */
  progress(bytes: number): void;
}

/** Written at once; the digest of as much is computed without a pause, so it must not be long. */
const PIECE = 256 * 1024;
/** Somebody who sends slower than this for so long wants to keep us busy. */
const SLOWEST_BYTES = 8 * 1024;
const SLOWEST_MS = 60_000;

/** Resolves with whether bytes travelled; false when they were here already. */
export type Downloader = (download: Download, signal: AbortSignal) => Promise<boolean>;

export function createDownloader({ content, jobs, shared, patience }: DownloadDeps): Downloader {
  const slowest = patience?.slowest ?? SLOWEST_MS;

  async function fill(download: Download, writer: Writer, signal: AbortSignal): Promise<boolean> {
    const { size } = download.descriptor;
    let moved = false;
    try {
      if (writer.status.offset > size) await writer.truncate();
      const retries = createRetries(undefined, patience?.retry);
      while (writer.status.offset < size) {
        const before = writer.status.offset;
        try {
          await copy(download, writer, slowest, signal);
        } catch (error) {
          // A few bytes are no progress: who drips them would never come to an end.
          if (writer.status.offset - before >= SLOWEST_BYTES) retries.reset();
          await retries.next(error, signal);
        }
        moved ||= writer.status.offset > before;
      }
      await commit(download, writer);
      return moved;
    } finally {
      await writer.close();
    }
  }

  async function commit({ descriptor, scope }: Download, writer: Writer): Promise<void> {
    const { size, digest } = descriptor;
    try {
      await writer.commit({ size, expected: digest });
    } catch (error) {
      if (isAlreadyExists(error)) return;
      if (kindOf(error) !== 'failed precondition') throw error;
      // Wrong bytes are no beginning for another attempt.
      await content.abort(scope, refKey(descriptor)).catch(() => undefined);
      throw new Failure('data loss', `${digest}: what the registry sent has another digest: data loss`, {
        cause: error,
      });
    }
  }

  return async (download, signal) => {
    const { descriptor, scope } = download;
    let moved = false;
    const work = async (): Promise<void> => {
      // Whoever waits for new blobs is not told: this one is taken care of.
      const options = { ref: refKey(descriptor), expected: descriptor.digest, total: descriptor.size, quiet: true };
      const writer = await claim(content, scope, options, signal);
      if (writer !== undefined) moved = await fill(download, writer, signal);
    };
    if (content.has(scope.namespace, descriptor.digest)) {
      await work();
      return false;
    }
    const key = `${shared ? '' : scope.namespace} ${descriptor.digest}`;
    // Whoever waited takes the bytes that are there now, and fetches them if they have gone again.
    while (!(await jobs.run(key, signal, work)));
    return moved;
  };
}

/** Appends what the registry sends, as far as it goes. */
async function copy(download: Download, writer: Writer, slowest: number, signal: AbortSignal): Promise<void> {
  const { from, descriptor } = download;
  const { size, digest } = descriptor;
  const stalled = new AbortController();
  const bounded = AbortSignal.any([signal, stalled.signal]);
  let seen = 0;
  const watch = setInterval(() => {
    if (seen < SLOWEST_BYTES)
      stalled.abort(new Failure('unavailable', `${digest}: ${seen} bytes in ${slowest / 1000} s: unavailable`));
    seen = 0;
  }, slowest).unref();
  try {
    const { offset, body } = await from.blob(descriptor, writer.status.offset, bounded);
    let skip = writer.status.offset - offset;
    let pieces: Buffer[] = [];
    let held = 0;
    const flush = async (): Promise<void> => {
      if (held === 0) return;
      const taken = pieces;
      pieces = [];
      held = 0;
      await writer.write(...taken);
      download.progress(writer.status.offset);
    };
    try {
      for await (const chunk of body) {
        seen += chunk.length;
        const fresh = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        if (writer.status.offset + held + fresh.length > size) {
          throw new Failure('data loss', `${digest}: the registry sends more than ${size} bytes: data loss`);
        }
        pieces.push(fresh);
        held += fresh.length;
        if (held >= PIECE) await flush();
      }
    } finally {
      // Also what came before a cut: the next attempt goes on after it.
      if (!signal.aborted) await flush();
    }
    if (writer.status.offset < size) {
      throw new Failure('unavailable', `${digest}: ${writer.status.offset} of ${size} bytes: unavailable`);
    }
  } finally {
    clearInterval(watch);
  }
}
