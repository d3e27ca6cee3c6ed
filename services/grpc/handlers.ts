// Handler types, derived from the generated service types.
import type { Bidi, ClientStream, Input, ServerStream, Unary } from '../../proto/rpc.ts';
import type { Call } from './call.ts';

export type Handler<Method> =
  Method extends Unary<infer Request, infer Response>
    ? (request: Request, call: Call) => Promise<Input<Response>> | Input<Response>
    : Method extends ServerStream<infer Request, infer Response>
      ? (request: Request, call: Call) => AsyncIterable<Input<Response>>
      : Method extends ClientStream<infer Request, infer Response>
        ? (requests: AsyncIterable<Request>, call: Call) => Promise<Input<Response>>
        : Method extends Bidi<infer Request, infer Response>
          ? (requests: AsyncIterable<Request>, call: Call) => AsyncIterable<Input<Response>>
          : never;

/** The implementation of a service. A method that is left out answers Unimplemented. */
export type Handlers<Service> = { readonly [Method in keyof Service]?: Handler<Service[Method]> };

/** A service by full name with its handlers, ready to be registered. */
export interface Registration {
  readonly name: string;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/** Pairs a service's name with its handlers; the types hold the two together. */
export function registration<Service>(name: string, handlers: Handlers<Service>): Registration {
  return { name, handlers: handlers };
}
