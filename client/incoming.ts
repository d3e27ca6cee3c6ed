// Messages of a call in the order they came, with back-pressure.
//
// grpc-js emits a failed status as a bare 'error' event: whoever starts to iterate later would miss
// it. So a call is listened to from its birth and its messages are kept here, a few at most.
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';

const MOST_KEPT = 16;

export interface Incoming<T> extends AsyncIterable<T> {
  /** The next message; undefined at the end. Rejects with the call's failure, after the messages that came before it. */
  next(): Promise<T | undefined>;
  /** Throws the call's failure, if it has failed by now. */
  check(): void;
  readonly over: boolean;
}

type Stream<T> = ClientReadableStream<T> | ClientDuplexStream<never, T>;

export function incoming<T>(stream: Stream<T>, toError: (error: unknown) => Error): Incoming<T> {
  const kept: T[] = [];
  let over = false;
  let failure: Error | undefined;
  let wake: (() => void) | undefined;

  const changed = (): void => {
    wake?.();
    wake = undefined;
  };
  stream.on('data', (message: T) => {
    kept.push(message);
    if (kept.length >= MOST_KEPT) stream.pause();
    changed();
  });
  // The failure comes before 'end', and 'end' after the last message.
  stream.on('error', (error) => (failure = toError(error)));
  stream.on('end', () => {
    over = true;
    changed();
  });

  const next = async (): Promise<T | undefined> => {
    for (;;) {
      const message = kept.shift();
      if (message !== undefined) {
        if (stream.isPaused()) stream.resume();
        return message;
      }
      if (over) {
        if (failure !== undefined) throw failure;
        return undefined;
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };

  return {
    next,
    get over() {
      return over;
    },
    check() {
      if (failure !== undefined) throw failure;
    },
    async *[Symbol.asyncIterator]() {
      try {
        for (let message = await next(); message !== undefined; message = await next()) yield message;
      } finally {
        if (!over) stream.cancel();
      }
    },
  };
}
