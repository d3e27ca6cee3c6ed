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

  it('takes nothing else, however near it is, and so nothing that leads out of a folder', () => {
    const form = /^(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/;
    const near = fc
      .tuple(
        fc.constantFrom(
          'sha256:',
          'sha384:',
          'sha512:',
          'SHA256:',
          'sha256:sha256:',
          'sha1:',
          '__proto__:',
          'sha256+b64:',
        ),
        fc.constantFrom(32, 63, 64, 65, 96, 128),
        fc.string({ unit: 'binary', maxLength: 4 }),
        fc.constantFrom('', '../', '..', '/', '\0', '\n', 'A', '\uff41', '%2e%2e', ':'),
        fc.nat(130),
      )
      .map(([algorithm, length, random, odd, at]) => {
        const encoded = 'a'.repeat(length);
        const mixed = encoded.slice(0, at) + odd + (at % 2 === 0 ? random : '') + encoded.slice(at);
        return `${algorithm}${at % 3 === 0 ? mixed.slice(0, length) : mixed}`;
      });
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (text) =>
        assert.equal(typeof parseDigest(text) !== 'string', form.test(text) && !text.endsWith('\n'), text),
      ),
      { numRuns: 2000 },
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
