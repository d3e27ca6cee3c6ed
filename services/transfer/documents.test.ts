import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { parseDigest } from '../lib/digest.ts';
import { Failure, kindOf } from '../lib/errors.ts';
import { MEDIA, parseConfig, parseIndex, parseManifest, type Descriptor } from './documents.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    -1,
    0,
    1.5,
    2 ** 60,
    '',
    [],
    {},
    digest,
    `sha256:${'A'.repeat(64)}`,
    'sha256:../../../../etc/passwd',
    `md5:${'a'.repeat(64)}`,
  ),
  fc.jsonValue(),
);
const field = (usual: unknown): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: odd });
const record = (fields: Readonly<Record<string, unknown>>): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(Object.fromEntries(Object.entries(fields).map(([name, usual]) => [name, field(usual)])));
const descriptors = record({
  mediaType: MEDIA.ociManifest,
  digest,
  size: 5,
  urls: ['http://x'],
  platform: {},
  annotations: {},
});
const list = fc.oneof({ weight: 8, arbitrary: fc.array(descriptors, { maxLength: 3 }) }, { weight: 1, arbitrary: odd });

describe('documents of images', () => {
  it('have well-formed digests and sizes, or are refused in one line', () => {
    const document = fc.record(
      { mediaType: field(MEDIA.ociManifest), config: descriptors, layers: list, manifests: list, rootfs: odd },
      { requiredKeys: [] },
    );
    let taken = 0;
    const check = (parse: () => readonly Descriptor[]): void => {
      let found: readonly Descriptor[];
      try {
        found = parse();
      } catch (error) {
        assert.ok(error instanceof Failure && kindOf(error) === 'invalid argument', String(error));
        assert.ok(error.message.length < 500, error.message);
        return;
      }
      taken += 1;
      for (const each of found) {
        assert.notEqual(typeof parseDigest(each.digest), 'string', each.digest);
        assert.ok(Number.isSafeInteger(each.size) && each.size >= 0 && typeof each.mediaType === 'string');
        assert.ok((each.urls ?? []).every((url) => typeof url === 'string'));
      }
    };
    fc.assert(
      fc.property(fc.oneof({ weight: 8, arbitrary: document }, { weight: 1, arbitrary: odd }), (value) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
        const isBoth = 'manifests' in object && ('layers' in object || 'config' in object);
        check(() => {
          const { config, layers } = parseManifest(bytes, { mediaType: MEDIA.ociManifest, digest, size: bytes.length });
          assert.ok(!isBoth || object.manifests === undefined, 'a manifest that is an index as well');
          return [config, ...layers];
        });
        check(() => parseIndex(bytes, { mediaType: MEDIA.ociIndex, digest, size: bytes.length }));
        check(() => {
          const { diffIds } = parseConfig(bytes, { mediaType: MEDIA.ociConfig, digest, size: bytes.length });
          return diffIds.map((id) => ({ mediaType: '', digest: id, size: 0 }));
        });
      }),
      { numRuns: 3000 },
    );
    assert.ok(taken > 50, `only ${taken} documents were taken`);
  });
});
