// Instants with nanoseconds, as protobuf's Timestamp has them.

export interface Instant {
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanos: number;
}

/** The wall clock, to the millisecond. */
export function now(): Instant {
  return instantOf(Date.now());
}

/** Of milliseconds since 1970. */
export function instantOf(milliseconds: number): Instant {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.floor((milliseconds - seconds * 1000) * 1e6) };
}

export function instantToWire(instant: Instant): { seconds: string; nanos: number } {
  return { seconds: String(instant.seconds), nanos: instant.nanos };
}

/** Undefined for a Timestamp that is not set. */
export function instantFromWire(wire: { seconds: string; nanos: number } | null | undefined): Instant | undefined {
  return wire ? { seconds: Number(wire.seconds), nanos: wire.nanos } : undefined;
}
