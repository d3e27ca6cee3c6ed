import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { loadIdentity } from './identity.ts';

describe('the identity of the daemon', () => {
  let root: string;
  beforeEach(async () => (root = await mkdtemp(path.join(tmpdir(), 'identity-'))));
  afterEach(() => rm(root, { recursive: true }));

  it('is made once', async () => {
    const made = await loadIdentity(root);
    assert.match(made, /^[0-9a-f-]{36}$/);
    assert.equal(await loadIdentity(root), made);
  });

  it('is made again over an empty file, and is not guessed from rubbish', async () => {
    await writeFile(path.join(root, 'uuid'), '');
    assert.match(await loadIdentity(root), /^[0-9a-f-]{36}$/);
    await writeFile(path.join(root, 'uuid'), 'rubbish');
    await assert.rejects(loadIdentity(root), /holds no UUID/);
  });
});
