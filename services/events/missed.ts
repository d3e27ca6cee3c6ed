// What happened while nobody could subscribe: while the daemon was down, and until its socket was open.
// It is kept for a moment and told to whoever subscribes then, so that a client which lost its daemon
// and subscribes to the next one learns of the exits in between.
import type { Envelope } from './api.ts';

/** How long clients may take to come back. */
const GRACE_MS = 10_000;
const MAX_ENVELOPES = 8192;

export interface Missed {
  /** Whether something may still have to be kept. */
  readonly active: boolean;
  /** Keeps what happened before the socket was open; of too much, the oldest is forgotten. */
  keep(envelope: Envelope): void;
  list(): readonly Envelope[];
  /** From now on clients can subscribe. */
  opened(): void;
}

export function createMissed(grace = GRACE_MS): Missed {
  let kept: Envelope[] = [];
  let openedAt: number | undefined;
  let over = false;
  return {
    get active() {
      return !over;
    },
    keep(envelope) {
      const { seconds, nanos } = envelope.timestamp;
      if (over || (openedAt !== undefined && seconds * 1000 + nanos / 1e6 >= openedAt)) return;
      kept.push(envelope);
      if (kept.length > MAX_ENVELOPES) kept.shift();
    },
    list: () => kept,
    opened() {
      openedAt = Date.now();
      setTimeout(() => {
        over = true;
        kept = [];
      }, grace).unref();
    },
  };
}
