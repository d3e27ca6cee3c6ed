// The streams that are open now, by namespace and id.
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { alreadyExists, Failure, invalidArgument, notFound } from '../lib/errors.ts';
import type { Stream, Streams } from './api.ts';

interface Outgoing {
  readonly message: Any;
  readonly taken: () => void;
}

/** One stream between the call that carries it and the service that works with it. */
export class Channel implements Stream {
  readonly #incoming: AsyncIterator<Any>;
  readonly #outgoing: Outgoing[] = [];
  #wake: (() => void) | undefined;
  #release: (() => void) | undefined;
  #closed = false;

  constructor(incoming: AsyncIterator<Any>) {
    this.#incoming = incoming;
  }

  send(message: Any): Promise<void> {
    if (this.#closed) throw new Failure('canceled', 'stream closed: canceled');
    return new Promise((taken) => {
      this.#outgoing.push({ message, taken });
      this.#wake?.();
    });
  }

  receive(): Promise<Any | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return resolve(undefined);
      this.#release = () => resolve(undefined);
      this.#incoming.next().then((next) => resolve(next.done === true ? undefined : next.value), reject);
    });
  }

  close(): void {
    this.#closed = true;
    this.#release?.();
    this.#wake?.();
  }

  /** What is to be sent, until the stream is closed. */
  async *messages(): AsyncGenerator<Any> {
    for (;;) {
      const next = this.#outgoing.shift();
      if (next !== undefined) {
        // Also when the call ends with the message on its way: its sender is not to wait for ever.
        try {
          yield next.message;
        } finally {
          next.taken();
        }
      } else if (this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  /** The call is over: nobody is to wait for it. */
  abandon(): void {
    this.close();
    for (const { taken } of this.#outgoing.splice(0)) taken();
  }
}

export interface StreamRegistry extends Streams {
  /** Throws `already exists` for an id in use. The function returned takes it out again. */
  register(namespace: string, id: string, channel: Channel): () => void;
}

export function createStreams(): StreamRegistry {
  const open = new Map<string, Channel>();
  // Namespaces have no slash.
  const key = (namespace: string, id: string): string => `${namespace}/${id}`;
  return {
    register(namespace, id, channel) {
      if (id === '') throw invalidArgument('stream id must not be empty');
      const name = key(namespace, id);
      if (open.has(name)) throw alreadyExists(`stream "${id}"`);
      open.set(name, channel);
      return () => void open.delete(name);
    },
    get(namespace, id) {
      const found = open.get(key(namespace, id));
      if (found === undefined) throw notFound(`stream "${id}"`);
      return found;
    },
  };
}
