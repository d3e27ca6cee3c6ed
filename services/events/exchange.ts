// The exchange: every envelope goes to every subscriber whose filter lets it pass. Publishing never
// waits; what a subscriber has not taken yet is kept for it up to a bound, and then it is ended.
import { codec } from '../../proto/messages.ts';
import { Failure, invalidArgument } from '../lib/errors.ts';
import { parseFilters, type Filter } from '../lib/filters.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import { now } from '../lib/time.ts';
import type { Envelope, Events } from './api.ts';
import { fieldsOf } from './fields.ts';
import { createMissed } from './missed.ts';

/** What one subscriber may leave unread: as many envelopes, as many bytes of payload. */
const MAX_ENVELOPES = 8192;
const MAX_BYTES = 16 << 20;

type Listener = (envelope: Envelope) => void;

/** The exchange as the daemon holds it. */
export interface Exchange extends Events {
  /** Clients can subscribe from now on: the first of them are told what happened before. */
  opened(): void;
}

export function createEvents(missed = createMissed()): Exchange {
  const listeners = new Set<Listener>();

  const deliver = (envelope: Envelope): void => {
    if (missed.active) missed.keep(envelope);
    for (const listener of listeners) listener(envelope);
  };
  const listen = (listener: Listener): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  return {
    publish(namespace, topic, messageName, message) {
      // Most moments nobody listens: then an event costs nothing.
      if (listeners.size === 0 && !missed.active) return;
      const value = codec(messageName).encode(message);
      deliver({ timestamp: now(), namespace, topic, event: { type_url: messageName, value } });
    },

    forward(envelope) {
      validateEnvelope(envelope);
      deliver(envelope);
    },

    subscribe(filters, signal) {
      return subscription(parseFilters(filters), missed.list(), signal, listen);
    },

    listen,
    opened: () => missed.opened(),
  };
}

/** In effect from this call on, not from the first read. */
function subscription(
  filter: Filter,
  before: readonly Envelope[],
  signal: AbortSignal,
  listen: (listener: Listener) => () => void,
): AsyncIterable<Envelope> {
  let queue = before.filter((envelope) => filter(fieldsOf(envelope)));
  let taken = 0;
  let bytes = queue.reduce((sum, { event }) => sum + event.value.length, 0);
  let ended = false;
  let overflow: Failure | undefined;
  let wake = (): void => undefined;

  const end = (): void => {
    ended = true;
    unlisten();
    signal.removeEventListener('abort', end);
    wake();
  };
  const unlisten = listen((envelope) => {
    if (!filter(fieldsOf(envelope))) return;
    bytes += envelope.event.value.length;
    if (queue.length - taken >= MAX_ENVELOPES || bytes > MAX_BYTES) {
      overflow = new Failure(
        'resource exhausted',
        `subscriber does not keep up (${queue.length - taken} events unread): resource exhausted`,
      );
      queue = [];
      end();
      return;
    }
    queue.push(envelope);
    wake();
  });
  if (signal.aborted) end();
  else signal.addEventListener('abort', end);

  const next = async (): Promise<IteratorResult<Envelope>> => {
    for (;;) {
      if (overflow !== undefined) throw overflow;
      if (ended) return { done: true, value: undefined };
      const envelope = queue[taken];
      if (envelope !== undefined) {
        bytes -= envelope.event.value.length;
        if (++taken === queue.length || taken > 1024) {
          queue = queue.slice(taken);
          taken = 0;
        }
        return { done: false, value: envelope };
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const iterator: AsyncIterator<Envelope> = {
    next,
    return: async () => {
      end();
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

function validateEnvelope({ namespace, topic }: Envelope): void {
  try {
    validateIdentifier(namespace);
  } catch (error) {
    throw error instanceof Failure ? error.in('event envelope has invalid namespace') : error;
  }
  validateTopic(topic);
}

function validateTopic(topic: string): void {
  const refuse = (reason: string): Failure => invalidArgument(`envelope topic "${topic}": ${reason}`);
  if (topic === '') throw refuse('must not be empty');
  if (!topic.startsWith('/')) throw refuse("must start with '/'");
  if (topic.length === 1) throw refuse('must have at least one component');
  for (const component of topic.slice(1).split('/')) {
    try {
      validateIdentifier(component);
    } catch (error) {
      throw error instanceof Failure
        ? error.in(`envelope topic "${topic}": failed validation on component "${component}"`)
        : error;
    }
  }
}
