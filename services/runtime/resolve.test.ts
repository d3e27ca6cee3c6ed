import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { kindOf } from '../lib/errors.ts';
import { createResolver } from './resolve.ts';

describe('runtime names', () => {
  let folder: string;
  const program = (...names: string[]): string => path.join(folder, ...names);

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'resolve-'));
    for (const name of ['a', 'b']) mkdirSync(program(name));
    for (const name of [
      'a/containerd-shim-davit-v1',
      'b/containerd-shim-davit-v1',
      'b/containerd-shim-kata-v2',
      'b/containerd-shim-runc-v2',
      'b/other',
    ]) {
      writeFileSync(program(name), '', { mode: 0o755 });
    }
    writeFileSync(program('a/containerd-shim-kata-v2'), 'not executable', { mode: 0o644 });
  });
  after(() => rmSync(folder, { recursive: true }));

  const resolver = (shim = 'containerd-shim-davit-v1') =>
    createResolver({ shim, folders: [program('a'), program('b')] });

  for (const name of [
    'io.containerd.runc.v2',
    'io.containerd.runc.v1',
    'io.containerd.runtime.v1.linux',
    'io.containerd.davit.v1',
  ]) {
    it(`${name} is our shim`, () => {
      assert.deepEqual(resolver().resolve(name), { path: program('a/containerd-shim-davit-v1'), own: true });
    });
  }

  it('those of runc are what the configuration says', () => {
    assert.deepEqual(resolver(program('b/other')).resolve('io.containerd.runc.v2'), {
      path: program('b/other'),
      own: false,
    });
  });

  it('others are programs in the folders, if executable', () => {
    assert.deepEqual(resolver().resolve('io.containerd.kata.v2'), {
      path: program('b/containerd-shim-kata-v2'),
      own: false,
    });
  });

  it('absolute paths are taken as they are', () => {
    assert.equal(resolver().resolve(program('b/other')).path, program('b/other'));
    assert.throws(
      () => resolver().resolve(program('b/absent')),
      (error) => kindOf(error) === 'failed precondition',
    );
  });

  it('what is not installed cannot be run', () => {
    assert.throws(
      () => resolver().resolve('io.containerd.gvisor.v1'),
      /containerd-shim-gvisor-v1.*failed precondition/,
    );
  });

  for (const name of ['', 'runc', './shim', 'bin/shim.v2', '.runc.v2']) {
    it(`${JSON.stringify(name)} is refused`, () => {
      assert.throws(
        () => resolver().resolve(name),
        (error) => kindOf(error) === 'invalid argument',
      );
    });
  }
});
