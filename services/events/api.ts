// Events: what happened, told to whoever subscribed. No replay, but for what happened while nobody could
// subscribe; state is never derived from events alone. A publisher never waits for a subscriber.
import type { Instant } from '../lib/time.ts';

export interface Envelope {
  readonly timestamp: Instant;
  readonly namespace: string;
  /** `/tasks/exit`: a slash, then identifiers joined by slashes. */
  readonly topic: string;
  /** The payload with its bare type URL: `containerd.events.TaskExit`. */
  readonly event: { readonly type_url: string; readonly value: Uint8Array };
}

export interface Publisher {
  /** Publishes a message by full name, for example ('default', '/images/create', 'containerd.services.images.v1.ImageCreate', {...}). */
  publish(namespace: string, topic: string, messageName: string, message: object): void;
}

export interface Events extends Publisher {
  /** Takes a finished envelope (from a shim or a client). Throws `invalid argument` for an ill-formed one. */
  forward(envelope: Envelope): void;
  /**
   * Envelopes that match any of the filters (all when none) from now on, until the signal aborts; soon
   * after the daemon's start also those from before it.
   * Throws `invalid argument` for a filter that cannot be parsed. A subscriber that does not keep up
   * is ended with `resource exhausted` when its bounded queue is full.
   */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
  /** In-process subscription; `listener` must not throw. Returns the function that ends it. */
  listen(listener: (envelope: Envelope) => void): () => void;
}
