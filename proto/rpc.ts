// The shapes that generated service types are made of. Server handlers (services/grpc/) and typed
// clients (client/) are both derived from them, so neither can drift from the .proto files.

/** One request, one response. */
export interface Unary<Request, Response> {
  kind: 'unary';
  request: Request;
  response: Response;
}

/** One request, many responses. */
export interface ServerStream<Request, Response> {
  kind: 'serverStream';
  request: Request;
  response: Response;
}

/** Many requests, one response. */
export interface ClientStream<Request, Response> {
  kind: 'clientStream';
  request: Request;
  response: Response;
}

/** Both sides stream. */
export interface Bidi<Request, Response> {
  kind: 'bidi';
  request: Request;
  response: Response;
}

/**
 * What may be given where a message is sent: every field may be left out, at any depth.
 * Messages that were received have every field set (64-bit integers as decimal strings).
 */
export type Input<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends Uint8Array
    ? Uint8Array
    : T extends (infer Item)[]
      ? readonly Input<Item>[]
      : { readonly [Key in keyof T]?: Input<T[Key]> | null | undefined };
