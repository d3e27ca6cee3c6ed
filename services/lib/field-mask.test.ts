import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { maskedMap } from './field-mask.ts';

const current = new Map([
  ['a', '1'],
  ['b.c', '2'],
]);

describe('field masks', () => {
  it('replace a whole map', () => {
    const given = new Map([['x', '9']]);
    assert.deepEqual(maskedMap('labels', 'labels', current, given), given);
  });
  it('change one entry, whose key may have dots', () => {
    assert.deepEqual(
      maskedMap('labels', 'labels.b.c', current, new Map([['b.c', '3']])),
      new Map([
        ['a', '1'],
        ['b.c', '3'],
      ]),
    );
  });
  it('remove an entry that is not given', () => {
    assert.deepEqual(maskedMap('labels', 'labels.a', current, new Map()), new Map([['b.c', '2']]));
    assert.equal(current.size, 2);
  });
  it('know other fields', () => {
    for (const path of ['label', 'labelsx', 'target', ''])
      assert.equal(maskedMap('labels', path, current, current), undefined);
  });
});
