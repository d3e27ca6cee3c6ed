// Error classes and gRPC's status codes. The same numbers travel over gRPC and ttrpc.
import { Failure, type Kind } from './errors.ts';

const CODES: Readonly<Record<Kind, number>> = {
  canceled: 1,
  unknown: 2,
  'invalid argument': 3,
  'deadline exceeded': 4,
  'not found': 5,
  'already exists': 6,
  'permission denied': 7,
  'resource exhausted': 8,
  'failed precondition': 9,
  aborted: 10,
  'out of range': 11,
  'not implemented': 12,
  internal: 13,
  unavailable: 14,
  'data loss': 15,
  unauthenticated: 16,
};

const KINDS = new Map<number, Kind>(Object.entries(CODES).map(([kind, code]) => [code, kind as Kind]));

export function codeOf(kind: Kind): number {
  return CODES[kind];
}

/** The Failure that a status from elsewhere (a shim, a proxy plugin) stands for. */
export function failureOf(code: number, message: string): Failure {
  return new Failure(KINDS.get(code) ?? 'unknown', message);
}
