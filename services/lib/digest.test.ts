import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { digestOf, parseDigest } from './digest.ts';

describe('digests', () => {
  it('takes what it makes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('sha256', 'sha384', 'sha512'), (bytes, algorithm) => {
        const parsed = parseDigest(digestOf(bytes, algorithm));
        assert.ok(typeof parsed !== 'string' && parsed.algorithm === algorithm);
      }),
    );
  });

  const hex = 'a'.repeat(64);
  for (const [text, problem] of [
    ['', 'invalid checksum digest format'],
    ['sha256', 'invalid checksum digest format'],
    ['sha256:', 'invalid checksum digest format'],
    [`:${hex}`, 'invalid checksum digest format'],
    [`sha256:${hex}\n`, 'invalid checksum digest length'],
    [`sha256:${hex.slice(1)}`, 'invalid checksum digest length'],
    [`sha256:${hex.slice(1)}A`, 'invalid checksum digest format'],
    [`sha256:${hex.slice(7)}/../..x`, 'invalid checksum digest format'],
    ['sha256:../../etc/passwd', 'invalid checksum digest length'],
    [`md5:${hex}`, 'unsupported digest algorithm'],
    [`constructor:${hex}`, 'unsupported digest algorithm'],
    [`SHA256:${hex}`, 'invalid checksum digest format'],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseDigest(text), problem));
  }
});
