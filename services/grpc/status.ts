// Failure <-> gRPC status. The only place that knows both.
import { status, type StatusObject } from '@grpc/grpc-js';
import { codeOf } from '../lib/codes.ts';
import { Failure } from '../lib/errors.ts';

/** Status of a failed call, and whether the error was one that nobody classified. */
export function toStatus(error: unknown): { status: Partial<StatusObject>; unexpected: boolean } {
  if (error instanceof Failure) {
    return { status: { code: codeOf(error.kind), details: error.message }, unexpected: false };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return { status: { code: status.CANCELLED, details: 'context canceled' }, unexpected: false };
  }
  const details = error instanceof Error ? error.message : String(error);
  return { status: { code: status.UNKNOWN, details }, unexpected: true };
}

/** gRPC's name of a code, for logs and metrics: `NotFound`. */
export function codeName(code: number): string {
  const name = status[code] ?? 'UNKNOWN';
  if (name === 'OK') return name;
  return name
    .toLowerCase()
    .split('_')
    .map((word) => word[0]?.toUpperCase() + word.slice(1))
    .join('');
}
