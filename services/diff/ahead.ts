// Layers that are unpacked before they are asked for. Clients write all blobs of an image first and then
// have them applied one after the other; meanwhile the daemon could do nothing. So a layer's blob that
// arrives is applied at once to a folder of its own, knowing nothing of what will be below it, and
// take() moves the files to where the client wants them.
//
//   arrived -> waiting -> running -> ready -> taken
//                  \          \         \---> thrown away: nobody came for it
//                   \          \----------> thrown away: not a layer, or too large: the client will be told
//                    \--------------------> forgotten: asked for before its turn
//
// Only what can be made what it would be on its parent is used: see loose.ts.
import { mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { loosePlace, settleLoose } from './loose.ts';
import type { Place } from './place.ts';
import type { Applied, LayerLimits, LayerTools } from './tools.ts';

export interface Arrival {
  readonly ref: string;
  readonly digest: string;
  readonly size: number;
  /** Of the blob. */
  readonly file: string;
}

export interface Ahead {
  /** A blob is complete. */
  arrived(blob: Arrival): void;
  /**
   * Moves the unpacked layer into `place`, when it is or is about to be there and `place` is empty.
   * Undefined: it is to be applied; `place` is as it was.
   */
  take(digest: string, place: Place, signal: AbortSignal): Promise<Applied | undefined>;
}

export interface DaemonAhead extends Ahead {
  /** Before any use: removes what a daemon before this one left. */
  recover(): Promise<void>;
  stop(): Promise<void>;
}

export interface AheadDeps {
  readonly tools: LayerTools;
  /** On the file system of the places, with nothing else in it. */
  readonly folder: string;
  readonly remove: (folder: string) => Promise<void>;
  readonly limits: LayerLimits;
  /** Layers that are unpacked at the same time. */
  readonly width: number;
  readonly log: Logger;
}

interface Job {
  readonly blob: Arrival;
  readonly folder: string;
  readonly controller: AbortController;
  /** Undefined until it runs; resolves with undefined when there is nothing to use. */
  outcome: Promise<Applied | undefined> | undefined;
}

/** The refs under which containerd's clients write layers: of a registry, and of an archive; and we, of an archive. */
const LAYER_REF = /^(layer|tar|import)-/;
/** Smaller blobs are unpacked as quickly as they are moved. */
const LEAST = 32 * 1024;
/** Layers that wait or lie ready. */
const MOST = 128;
/** How long, in milliseconds, a layer lies ready since anything was unpacked. */
const PATIENCE = 60_000;
/** After so many in a row for which nobody came, none are begun until somebody applies a layer. */
const MOST_MISSES = 4;

export function createAhead({ tools, folder, remove, limits, width, log }: AheadDeps): DaemonAhead {
  const jobs = new Map<string, Job>();
  let running = 0;
  let next = 0;
  let misses = 0;
  let timer: NodeJS.Timeout | undefined;

  function discard(job: Job): Promise<void> {
    return remove(job.folder).catch((error: unknown) => log.warn('layer unpacked in vain not removed', { error }));
  }

  async function run(job: Job): Promise<Applied | undefined> {
    const { file: blob } = job.blob;
    try {
      await mkdir(job.folder, { mode: 0o700 });
      const place = loosePlace(job.folder);
      return await tools.apply({ blob, detect: true, ...place, sync: false, limits }, job.controller.signal);
    } catch (error) {
      log.debug('layer not unpacked ahead', { digest: job.blob.digest, error });
      await discard(job);
      return undefined;
    }
  }

  function schedule(): void {
    for (const job of jobs.values()) {
      if (running >= width) return;
      if (job.outcome !== undefined) continue;
      running += 1;
      job.outcome = run(job).finally(() => {
        running -= 1;
        schedule();
      });
    }
  }

  function wait(): void {
    clearTimeout(timer);
    timer = jobs.size === 0 ? undefined : setTimeout(expire, PATIENCE).unref();
  }

  function expire(): void {
    if (running > 0) return wait();
    misses += jobs.size;
    for (const job of jobs.values()) void discard(job);
    jobs.clear();
  }

  /** Whether `applied` is what the layer would be in `place`. */
  async function fits(job: Job, applied: Applied, place: Place, signal: AbortSignal): Promise<boolean> {
    if ((await readdir(place.folder)).length > 0) return false;
    return settleLoose(tools, job.folder, applied, place, signal);
  }

  /** Moves what is in `from`: the folder `to` may be open somewhere, and keeps its owner and mode. */
  async function move(from: string, to: string): Promise<void> {
    const names = await readdir(from, { encoding: 'buffer' });
    const below = (at: string, name: Buffer): Buffer => Buffer.concat([Buffer.from(`${at}/`), name]);
    for (const name of names) await rename(below(from, name), below(to, name));
    await rmdir(from);
  }

  return {
    arrived(blob) {
      if (!LAYER_REF.test(blob.ref) || blob.size < LEAST || misses >= MOST_MISSES) return;
      if (jobs.size >= MOST || jobs.has(blob.digest)) return;
      next += 1;
      const job: Job = {
        blob,
        folder: path.join(folder, String(next)),
        controller: new AbortController(),
        outcome: undefined,
      };
      jobs.set(blob.digest, job);
      schedule();
      wait();
    },

    async take(digest, place, signal) {
      misses = 0;
      const job = jobs.get(digest);
      if (job === undefined) return undefined;
      // From here on it is ours alone.
      jobs.delete(digest);
      wait();
      if (job.outcome === undefined) return undefined;
      const stop = (): void => job.controller.abort();
      signal.addEventListener('abort', stop, { once: true });
      const applied = await job.outcome.finally(() => signal.removeEventListener('abort', stop));
      if (applied === undefined) return undefined;
      try {
        signal.throwIfAborted();
        if (!(await fits(job, applied, place, signal))) {
          await discard(job);
          return undefined;
        }
        await move(job.folder, place.folder);
        return applied;
      } catch (error) {
        await discard(job);
        // Another file system: nothing has been moved.
        if (errnoCode(error) === 'EXDEV') return undefined;
        throw error;
      }
    },

    async recover() {
      await remove(folder);
      await mkdir(folder, { recursive: true, mode: 0o700 });
    },

    async stop() {
      clearTimeout(timer);
      const all = [...jobs.values()];
      jobs.clear();
      for (const job of all) job.controller.abort();
      await Promise.all(all.map(async (job) => (await job.outcome, discard(job))));
    },
  };
}
