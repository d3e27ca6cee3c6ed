// Failure: the one error class of the daemon.
//
// A Failure has a class (`kind`), a message of the form `<what> "<id>": <class words>` and, where
// another error led to it, a `cause`. Clients parse the end of the message, so the class words come
// last: `container "x": not found`. services/grpc/status.ts alone turns a Failure into a gRPC
// status; whatever else is thrown becomes UNKNOWN there and is logged once with its stack.

/** The error classes of containerd's API; each maps to one gRPC code. */
export type Kind =
  | 'canceled'
  | 'unknown'
  | 'invalid argument'
  | 'deadline exceeded'
  | 'not found'
  | 'already exists'
  | 'permission denied'
  | 'resource exhausted'
  | 'failed precondition'
  | 'aborted'
  | 'out of range'
  | 'not implemented'
  | 'internal'
  | 'unavailable'
  | 'data loss'
  | 'unauthenticated';

export class Failure extends Error {
  readonly kind: Kind;

  /** `message` is sent as it is. Prefer the functions below, which append the class words. */
  constructor(kind: Kind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Failure';
    this.kind = kind;
  }

  /** The same failure seen from further up: `context: message`, same class. */
  in(context: string): Failure {
    return new Failure(this.kind, `${context}: ${this.message}`, { cause: this });
  }
}

/** `what: not found`. */
export function notFound(what: string, options?: ErrorOptions): Failure {
  return new Failure('not found', `${what}: not found`, options);
}

/** `what: already exists`. */
export function alreadyExists(what: string, options?: ErrorOptions): Failure {
  return new Failure('already exists', `${what}: already exists`, options);
}

/** `what: invalid argument`. */
export function invalidArgument(what: string, options?: ErrorOptions): Failure {
  return new Failure('invalid argument', `${what}: invalid argument`, options);
}

/** `what: failed precondition`. */
export function failedPrecondition(what: string, options?: ErrorOptions): Failure {
  return new Failure('failed precondition', `${what}: failed precondition`, options);
}

/** `what: unavailable`. */
export function unavailable(what: string, options?: ErrorOptions): Failure {
  return new Failure('unavailable', `${what}: unavailable`, options);
}

/** `what: not implemented`. */
export function notImplemented(what: string, options?: ErrorOptions): Failure {
  return new Failure('not implemented', `${what}: not implemented`, options);
}

/** The class of an error, looking through causes; undefined for what nobody classified. */
export function kindOf(error: unknown): Kind | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof Failure) return current.kind;
  }
  return undefined;
}

export const isNotFound = (error: unknown): boolean => kindOf(error) === 'not found';
export const isAlreadyExists = (error: unknown): boolean => kindOf(error) === 'already exists';

/** The `code` of a Node system error (`ENOENT`, ...), or undefined. */
export function errnoCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** `what; free some space: resource exhausted`, where the disk or a quota of it is full; undefined for other errors. */
export function diskFull(what: string, error: unknown): Failure | undefined {
  const code = errnoCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return undefined;
  return new Failure('resource exhausted', `${what}; free some space: resource exhausted`, { cause: error });
}
