// What a typed service client looks like, derived from the generated service types.
import type { Bidi, ClientStream, Input, ServerStream, Unary } from '../proto/rpc.ts';

export interface CallOptions {
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until the call fails with `deadline exceeded`. */
  readonly timeout?: number | undefined;
  /** Overrides the client's namespace for this call. */
  readonly namespace?: string | undefined;
  /** Overrides the client's lease for this call. */
  readonly lease?: string | undefined;
}

/** A call whose two sides stream. Leaving a `for await` over it cancels the call. */
export interface BidiCall<Request, Response> extends AsyncIterable<Response> {
  /** Sends one message; resolves when more may be sent. Rejects when the call is over. */
  send(message: Input<Request>): Promise<void>;
  /** The next response; undefined when the server has ended the call. */
  receive(): Promise<Response | undefined>;
  /** No more messages from this side. */
  close(): void;
  cancel(): void;
}

/** Many requests, one response. */
export interface ClientStreamCall<Request, Response> {
  send(message: Input<Request>): Promise<void>;
  /** No more messages; the server's answer. */
  finish(): Promise<Response>;
  cancel(): void;
}

export type ServiceClient<Service> = {
  readonly [Method in keyof Service]: Service[Method] extends Unary<infer Request, infer Response>
    ? (request: Input<Request>, options?: CallOptions) => Promise<Response>
    : Service[Method] extends ServerStream<infer Request, infer Response>
      ? (request: Input<Request>, options?: CallOptions) => AsyncIterable<Response>
      : Service[Method] extends ClientStream<infer Request, infer Response>
        ? (options?: CallOptions) => ClientStreamCall<Request, Response>
        : Service[Method] extends Bidi<infer Request, infer Response>
          ? (options?: CallOptions) => BidiCall<Request, Response>
          : never;
};
