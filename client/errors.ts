// ClientError: what every call of this client fails with.

/** gRPC's status codes by number, in containerd's words. */
const KINDS = [
  'ok',
  'canceled',
  'unknown',
  'invalid argument',
  'deadline exceeded',
  'not found',
  'already exists',
  'permission denied',
  'resource exhausted',
  'failed precondition',
  'aborted',
  'out of range',
  'not implemented',
  'internal',
  'unavailable',
  'data loss',
  'unauthenticated',
] as const;

export type ErrorKind = Exclude<(typeof KINDS)[number], 'ok'>;

export class ClientError extends Error {
  /** gRPC's status code. */
  readonly code: number;
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ClientError';
    this.kind = kind;
    this.code = KINDS.indexOf(kind);
  }

  /** The same failure seen from further up: `context: message`. */
  in(context: string): ClientError {
    return new ClientError(this.kind, `${context}: ${this.message}`, { cause: this });
  }
}

/** The error class that a gRPC status code stands for. */
export function kindOfCode(code: number): ErrorKind {
  const kind = KINDS[code];
  return kind === undefined || kind === 'ok' ? 'unknown' : kind;
}

const is =
  (kind: ErrorKind) =>
  (error: unknown): error is ClientError =>
    error instanceof ClientError && error.kind === kind;

export const isNotFound = is('not found');
export const isAlreadyExists = is('already exists');
export const isFailedPrecondition = is('failed precondition');
export const isInvalidArgument = is('invalid argument');
export const isUnavailable = is('unavailable');
export const isNotImplemented = is('not implemented');
export const isCanceled = is('canceled');
export const isDeadlineExceeded = is('deadline exceeded');
