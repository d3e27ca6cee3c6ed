// google.protobuf.Any as containerd uses it: bare type URLs, protobuf or JSON inside.
import { findCodec, codec } from '../proto/messages.ts';
import type { Any } from '../proto/gen/google.protobuf.ts';

export const SPEC_URL = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
export const PROCESS_URL = 'types.containerd.io/opencontainers/runtime-spec/1/Process';

export function packMessage(fullName: string, message: object): Any {
  return { type_url: fullName, value: codec(fullName).encode(message) };
}

/** The message inside; undefined for a type that the wire does not know. */
export function unpackMessage(any: Any): object | undefined {
  return findCodec<object>(any.type_url.slice(any.type_url.lastIndexOf('/') + 1))?.decode(any.value);
}
