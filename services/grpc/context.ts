// Builds a handler's Call from a grpc-js call: headers, and cancellation as an AbortSignal.
import { Metadata } from '@grpc/grpc-js';
import { Failure, failedPrecondition } from '../lib/errors.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import type { Call } from './call.ts';

const NAMESPACE_HEADER = 'containerd-namespace';
const LEASE_HEADER = 'containerd-lease';

/** Why a call's signal is aborted. Shared: every call that streams is cancelled in the end, and an error's stack costs. */
const CANCELED = new Failure('canceled', 'context canceled');

/** The part of a grpc-js server call that a context is made of. */
export interface ServerCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  on(event: 'cancelled', listener: () => void): unknown;
  sendMetadata(metadata: Metadata): void;
}

function header(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  if (value === undefined) return undefined;
  const text = typeof value === 'string' ? value : value.toString('utf8');
  return text === '' ? undefined : text;
}

export function createCall(method: string, call: ServerCall): Call {
  let controller: AbortController | undefined;
  return {
    method,
    get signal() {
      if (controller === undefined) {
        const made = new AbortController();
        if (call.cancelled) made.abort(CANCELED);
        else call.on('cancelled', () => made.abort(CANCELED));
        controller = made;
      }
      return controller.signal;
    },
    namespace() {
      const namespace = header(call.metadata, NAMESPACE_HEADER);
      if (namespace === undefined) throw failedPrecondition('namespace is required');
      validateIdentifier(namespace, 'namespace validation');
      return namespace;
    },
    get rawNamespace() {
      return header(call.metadata, NAMESPACE_HEADER);
    },
    get lease() {
      return header(call.metadata, LEASE_HEADER);
    },
    sendHeaders() {
      call.sendMetadata(new Metadata());
    },
  };
}
