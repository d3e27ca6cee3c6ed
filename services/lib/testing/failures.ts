// Expecting failures.
import assert from 'node:assert/strict';
import { kindOf, type Kind } from '../errors.ts';

/** The work must fail with this class, and where `message` is given, with this text. */
export async function fails(work: () => unknown, kind: Kind, message?: string | RegExp): Promise<void> {
  let error: unknown;
  try {
    await work();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof Error, `nothing failed, expected ${kind}`);
  assert.equal(kindOf(error), kind, error.stack);
  if (typeof message === 'string') assert.equal(error.message, message);
  else if (message !== undefined) assert.match(error.message, message);
}
