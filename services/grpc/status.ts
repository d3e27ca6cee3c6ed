// Failure <-> gRPC status. The only place that knows both.
import { status, type StatusObject } from '@grpc/grpc-js';
import { codeOf } from '../lib/codes.ts';
import { errnoCode, Failure } from '../lib/errors.ts';

/** Refusals of the kernel that are nobody's mistake and pass: no disk, descriptors or memory are left. */
const EXHAUSTED = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM']);

/** Status of a failed call, and whether the error was one that nobody classified. */
export function toStatus(error: unknown): { status: Partial<StatusObject>; unexpected: boolean } {
  if (error instanceof Failure) {
    return { status: { code: codeOf(error.kind), details: error.message }, unexpected: false };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return { status: { code: status.CANCELLED, details: 'context canceled' }, unexpected: false };
  }
  const details = error instanceof Error ? error.message : String(error);
  if (EXHAUSTED.has(errnoCode(error) ?? '')) {
    return {
      status: { code: status.RESOURCE_EXHAUSTED, details: `${details}: resource exhausted` },
      unexpected: false,
    };
  }
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
