import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { describe, it } from 'mocha';
import { failureOf } from '../lib/codes.ts';
import { Failure, type Kind } from '../lib/errors.ts';
import { codeName, toStatus } from './status.ts';

describe('status', () => {
  const documented = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([a-z ]+)` \| ([A-Z_]+) \|/gm)];

  it('is documented class by class, each with its code', () => {
    assert.equal(documented.length, Object.keys(status).filter((name) => Number.isNaN(Number(name))).length - 1);
    for (const [, kind, code] of documented) {
      const sent = toStatus(new Failure(kind as Kind, 'text'));
      assert.equal(sent.status.code, status[code as keyof typeof status], kind);
      assert.equal(failureOf(sent.status.code ?? 0, '').kind, kind);
    }
  });

  it('takes an unclassified error for UNKNOWN', () => {
    assert.deepEqual(toStatus(new Error('boom')), {
      status: { code: status.UNKNOWN, details: 'boom' },
      unexpected: true,
    });
    assert.equal(toStatus('text').status.details, 'text');
  });

  it('takes an aborted wait for CANCELLED', () => {
    assert.equal(toStatus(AbortSignal.abort().reason).status.code, status.CANCELLED);
  });

  it('names codes as Go does', () => {
    assert.deepEqual([status.OK, status.NOT_FOUND, status.FAILED_PRECONDITION].map(codeName), [
      'OK',
      'NotFound',
      'FailedPrecondition',
    ]);
  });
});
