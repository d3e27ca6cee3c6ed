import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Options } from '../../proto/gen/containerd.runc.v1.ts';
import { codec } from '../../proto/messages.ts';
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
      assert.deepEqual(resolver().resolve(name, null), { path: program('a/containerd-shim-davit-v1'), own: true });
    });
  }

  it('those of runc are what the configuration says', () => {
    assert.deepEqual(resolver(program('b/other')).resolve('io.containerd.runc.v2', null), {
      path: program('b/other'),
      own: false,
    });
  });

  it('others are programs in the folders, if executable', () => {
    assert.deepEqual(resolver().resolve('io.containerd.kata.v2', null), {
      path: program('b/containerd-shim-kata-v2'),
      own: false,
    });
  });

  describe('with the name of an OCI runtime in the options', () => {
    const options = (binary_name: string) => ({
      type_url: 'containerd.runc.v1.Options',
      value: Buffer.from(codec<Options>('containerd.runc.v1.Options').encode({ binary_name })),
    });
    const resolved = (runtime: string, binary: string, shim?: string): string =>
      path.relative(folder, resolver(shim).resolve(runtime, options(binary)).path);

    for (const binary of ['', 'runc', 'davit-oci']) {
      it(`${JSON.stringify(binary)} is our shim's own work`, () => {
        assert.equal(resolved('io.containerd.runc.v2', binary), 'a/containerd-shim-davit-v1');
      });
    }

    it("any other is driven by runc's shim", () => {
      assert.equal(resolved('io.containerd.runc.v2', '/usr/bin/crun'), 'b/containerd-shim-runc-v2');
    });

    it('a foreign shim that stands for runc is left to deal with it', () => {
      assert.equal(resolved('io.containerd.runc.v2', '/usr/bin/crun', program('b/other')), 'b/other');
    });

    it('our shim, when asked for by its name, is not exchanged', () => {
      assert.equal(resolved('io.containerd.davit.v1', '/usr/bin/crun'), 'a/containerd-shim-davit-v1');
    });
  });

  it('absolute paths are taken as they are', () => {
    assert.equal(resolver().resolve(program('b/other'), null).path, program('b/other'));
    assert.throws(
      () => resolver().resolve(program('b/absent'), null),
      (error) => kindOf(error) === 'failed precondition',
    );
  });

  it('what is not installed cannot be run', () => {
    assert.throws(
      () => resolver().resolve('io.containerd.gvisor.v1', null),
      /containerd-shim-gvisor-v1.*failed precondition/,
    );
  });

  for (const name of ['', 'runc', './shim', 'bin/shim.v2', '.runc.v2']) {
    it(`${JSON.stringify(name)} is refused`, () => {
      assert.throws(
        () => resolver().resolve(name, null),
        (error) => kindOf(error) === 'invalid argument',
      );
    });
  }
});
