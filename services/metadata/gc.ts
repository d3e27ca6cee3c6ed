// The garbage collector: runs the mark in one transaction and the sweeps after it, when the scheduler
// says so.
import { fault } from '../lib/fault.ts';
import type { Logger } from '../lib/log.ts';
import type { Metadata } from './api.ts';
import type { Collectable, GarbageCollector, GcObserver } from './gc-api.ts';
import { mark } from './gc-mark.ts';
import { GcScheduler, type GcOptions } from './gc-scheduler.ts';

export interface GcDeps {
  readonly metadata: Metadata;
  readonly log: Logger;
  readonly options: GcOptions;
  readonly observer: GcObserver;
}

/** Called when everything is registered: begins to schedule runs; stop() ends that and waits for a run in progress. */
export interface RunningCollector extends GarbageCollector {
  start(): void;
  stop(): Promise<void>;
}

/** What one mark removed. */
interface Removal {
  readonly kind: Collectable;
  readonly namespace: string;
  readonly key: string;
}

export function createGarbageCollector(deps: GcDeps): RunningCollector {
  const { metadata, log } = deps;
  const kinds = new Map<string, Collectable>();
  /** Types whose files may outlive their records; at the start that is not known of any. */
  const unswept = new Set<string>();
  let running = false;

  const scheduler = new GcScheduler(deps.options, log, async () => {
    running = true;
    try {
      const done = await run();
      deps.observer.collected('success', done.pause);
      return done;
    } catch (error) {
      deps.observer.collected('fail', 0);
      throw error;
    } finally {
      running = false;
    }
  });

  async function run(): Promise<{ pause: number; nextExpiry: number }> {
    const started = performance.now();
    let pause = 0;
    let nextExpiry = Infinity;
    const removals = await metadata.update((transaction) => {
      const found: Removal[] = [];
      const now = Date.now();
      for (const namespace of new Set([...kinds.values()].flatMap((kind) => [...kind.namespaces()]))) {
        const marked = mark(kinds, namespace, now);
        nextExpiry = Math.min(nextExpiry, marked.nextExpiry);
        for (const kind of kinds.values()) {
          if (kind.remove === undefined) continue;
          const garbage: string[] = [];
          kind.each(namespace, (key) => void (marked.has(kind.type, key) || garbage.push(key)));
          for (const key of garbage) {
            kind.remove(transaction, namespace, key);
            found.push({ kind, namespace, key });
          }
        }
      }
      pause = performance.now() - started;
      return found;
    });
    for (const { kind, namespace, key } of removals) {
      kind.removed?.(namespace, key);
      unswept.add(kind.type);
    }
    await fault('gc.sweep.before-files');
    await sweep();
    if (log.debugEnabled)
      log.debug('garbage collected', {
        removed: removals.length,
        pause: round(pause),
        ms: round(performance.now() - started),
      });
    return { pause, nextExpiry };
  }

  /** A sweep that fails is tried again by the next run. */
  async function sweep(): Promise<void> {
    const types = [...unswept];
    unswept.clear();
    await Promise.all(
      types.map(async (type) => {
        try {
          await kinds.get(type)?.sweep?.();
        } catch (error) {
          unswept.add(type);
          log.warn('files of removed records remain, will try again', { type, error });
        }
      }),
    );
  }

  metadata.whenChanged(() => {
    if (!running) scheduler.changed();
  });

  return {
    register(collectable) {
      kinds.set(collectable.type, collectable);
      unswept.add(collectable.type);
    },
    deleted(type) {
      if (type !== undefined) unswept.add(type);
      scheduler.deleted();
    },
    expiring: (time) => scheduler.expiring(time),
    unswept: (type) => void unswept.add(type),
    collect: (signal) => scheduler.collect(signal),
    start: () => scheduler.start(),
    stop: () => scheduler.stop(),
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
