import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { kindOf } from './errors.ts';
import { validateIdentifier } from './identifiers.ts';

describe('identifiers', () => {
  for (const id of ['a', 'A1', 'default', 'a.b-c_d', '0', 'x'.repeat(76)]) {
    it(`accepts ${id}`, () => validateIdentifier(id));
  }
  for (const id of ['', '.', '..', '-a', 'a-', 'a--b', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(77)]) {
    it(`refuses ${JSON.stringify(id)}`, () => {
      assert.throws(
        () => validateIdentifier(id),
        (error) => kindOf(error) === 'invalid argument',
      );
    });
  }
});
