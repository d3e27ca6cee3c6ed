// Assertions about failed calls, events and things that take a moment.
import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type ErrorKind } from '../../client/errors.ts';

/** The call fails with this class, and its text matches. */
export async function fails(
  call: Promise<unknown> | AsyncIterable<unknown>,
  kind: ErrorKind,
  text?: RegExp,
): Promise<ClientError> {
  try {
    if (Symbol.asyncIterator in call) for await (const message of call) void message;
    else await call;
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    assert.equal(error.kind, kind, `expected "${kind}", got "${error.kind}": ${error.message}`);
    if (text !== undefined) assert.match(error.message, text);
    return error;
  }
  throw new assert.AssertionError({ message: `expected the call to fail with "${kind}", but it succeeded` });
}

/** Waits until the check holds. */
export async function eventually(
  what: string,
  check: () => Promise<boolean> | boolean,
  timeout = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!(await check())) {
    if (performance.now() > deadline) throw new assert.AssertionError({ message: `${what}: not within ${timeout} ms` });
    await sleep(20);
  }
}

/** The value, which must be there. */
export function present<T>(value: T | null | undefined, what = 'value'): T {
  if (value === null || value === undefined) throw new assert.AssertionError({ message: `${what} is missing` });
  return value;
}

export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}
