// Failure <-> gRPC status. The only place that knows both.
import { status, type StatusObject } from '@grpc/grpc-js';
import { Failure, type Kind } from '../lib/errors.ts';

const CODES: Readonly<Record<Kind, status>> = {
  canceled: status.CANCELLED,
  unknown: status.UNKNOWN,
  'invalid argument': status.INVALID_ARGUMENT,
  'deadline exceeded': status.DEADLINE_EXCEEDED,
  'not found': status.NOT_FOUND,
  'already exists': status.ALREADY_EXISTS,
  'permission denied': status.PERMISSION_DENIED,
  'resource exhausted': status.RESOURCE_EXHAUSTED,
  'failed precondition': status.FAILED_PRECONDITION,
  aborted: status.ABORTED,
  'out of range': status.OUT_OF_RANGE,
  'not implemented': status.UNIMPLEMENTED,
  internal: status.INTERNAL,
  unavailable: status.UNAVAILABLE,
  'data loss': status.DATA_LOSS,
  unauthenticated: status.UNAUTHENTICATED,
};

const KINDS = new Map<number, Kind>(Object.entries(CODES).map(([kind, code]) => [code, kind as Kind]));

/** Status of a failed call, and whether the error was one that nobody classified. */
export function toStatus(error: unknown): { status: Partial<StatusObject>; unexpected: boolean } {
  if (error instanceof Failure) {
    return { status: { code: CODES[error.kind], details: error.message }, unexpected: false };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return { status: { code: status.CANCELLED, details: 'context canceled' }, unexpected: false };
  }
  const details = error instanceof Error ? error.message : String(error);
  return { status: { code: status.UNKNOWN, details }, unexpected: true };
}

/** The Failure that a status from elsewhere (a shim, a proxy plugin) stands for. */
export function fromStatus(code: number, message: string): Failure {
  return new Failure(KINDS.get(code) ?? 'unknown', message);
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
