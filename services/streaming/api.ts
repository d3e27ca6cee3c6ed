// Streams: message channels that a client opens beside its calls, and names in them: progress, bytes,
// questions back to the client.
import type { Any } from '../../proto/gen/google.protobuf.ts';

/** The daemon's end of a stream. Who takes a stream closes it. */
export interface Stream {
  /** Resolves when the transport has taken the message. Throws `canceled` when the client is gone. */
  send(message: Any): Promise<void>;
  /** The next message; undefined when the client sends no more, or the stream was closed here. */
  receive(): Promise<Any | undefined>;
  /** Ends the call of the client. May be called again. */
  close(): void;
}

export interface Streams {
  /** The stream that a client opened under this id. Throws `not found`. */
  get(namespace: string, id: string): Stream;
}
