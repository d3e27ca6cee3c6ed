import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { kindOf } from './errors.ts';
import { formatReference, parseReference } from './references.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('image references', () => {
  const full: readonly (readonly [string, string])[] = [
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1', 'docker.io/library/nginx:1'],
    ['user/app', 'docker.io/user/app:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['[::1]:5000/a/b', '[::1]:5000/a/b:latest'],
    ['example.com/a__b/c-d', 'example.com/a__b/c-d:latest'],
    [`nginx@${DIGEST}`, `docker.io/library/nginx@${DIGEST}`],
    [`example.com/a:1@${DIGEST}`, `example.com/a:1@${DIGEST}`],
  ];
  for (const [text, expected] of full) {
    it(`reads ${text}`, () => assert.equal(formatReference(parseReference(text)), expected));
  }

  const wrong = ['', ':', '/', 'Nginx', 'a//b', 'a/../b', '../a', 'example.com/', 'a:', 'a:b:c', 'a@sha256:short'];
  for (const text of [...wrong, `a@${DIGEST.toUpperCase()}`, 'http://a/b', 'a b', '-a/b', `${'a/'.repeat(200)}b`]) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.throws(() => parseReference(text), /: invalid argument$/);
    });
  }

  it('gives nothing that could leave a path', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '.', '/', ':', '@', '_', '-', '%', '?', '#', 'A', '1') }),
        (text) => {
          try {
            const { host, repository } = parseReference(text);
            assert.doesNotMatch(`${host}/${repository}`, /\.\.|\/\/|[?#%@]|^\/|\/$/);
          } catch (error) {
            assert.equal(kindOf(error), 'invalid argument', String(error));
          }
        },
      ),
    );
  });
});
