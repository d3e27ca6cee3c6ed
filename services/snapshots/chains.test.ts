import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { kindOf } from '../lib/errors.ts';
import { NO_LABELS } from '../lib/labels.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import type { Driver, Snapshotter } from './api.ts';
import { native, overlay, start } from './testing/start.ts';

const one = { namespace: 'one', lease: undefined };
const two = { namespace: 'two', lease: undefined };
const ROOT = new Map([['containerd.io/gc.root', 'now']]);

function chainsOf({ chains }: Snapshotter) {
  assert(chains !== undefined);
  return chains;
}

/** A layer with a file of its name, unpacked by the daemon. */
async function unpack(subject: Snapshotter, scope: typeof one, name: string, parent = '', settle = true) {
  const tree = await chainsOf(subject).begin(scope, name, parent, ROOT);
  const [mount] = tree.mounts(parent);
  const upper = mount?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length);
  await writeFile(path.join(upper ?? mount?.source ?? '', name), name);
  const settling = await tree.commit(parent);
  if (settle) await settling.settle();
}

async function claim(subject: Snapshotter, scope: typeof one, name: string, parent = ''): Promise<boolean> {
  const settling = await chainsOf(subject).claim(scope, name, parent, ROOT);
  await settling?.settle();
  return settling !== undefined;
}

async function commit(subject: Snapshotter, scope: typeof one, name: string, parent = ''): Promise<void> {
  await subject.prepare(scope, `${name}-key`, parent, NO_LABELS);
  await subject.commit(scope, name, `${name}-key`, '', ROOT);
}

describe('chains of layers', () => {
  const names = (subject: Snapshotter, { namespace }: typeof one): string[] =>
    subject.list(namespace, []).map(({ name }) => name);

  it('gives two namespaces one tree, and keeps it until neither has it', async () => {
    await using folder = await temporaryFolder();
    const { subject, gc, trees, stop } = await start(folder.path, overlay);
    await unpack(subject, one, 'base');
    await unpack(subject, one, 'top', 'base');
    assert.deepEqual(
      [await claim(subject, two, 'base'), await claim(subject, two, 'top', 'base'), await claim(subject, two, 'other')],
      [true, true, false],
    );
    assert.equal((await trees()).length, 2);
    assert.deepEqual(await subject.usage('two', 'top'), await subject.usage('one', 'top'));
    await subject.remove(one, 'top');
    await subject.cleanup();
    assert.equal((await trees()).length, 2, 'the second namespace has it');
    await subject.view(two, 'view', 'top', NO_LABELS);
    await subject.remove(two, 'view');
    await subject.remove(two, 'top');
    await subject.update('one', 'base', NO_LABELS, []);
    await gc.collect();
    assert.deepEqual([names(subject, one), names(subject, two)], [[], ['base']]);
    assert.equal((await trees()).length, 1);
    await subject.update('two', 'base', NO_LABELS, []);
    await gc.collect();
    assert.deepEqual(await trees(), []);
    await stop();
  });

  it('shares nothing that a client committed, nor what is on top of that', async () => {
    await using folder = await temporaryFolder();
    const { subject, stop } = await start(folder.path, overlay);
    await commit(subject, one, 'base');
    await unpack(subject, one, 'top', 'base');
    assert.equal(await claim(subject, two, 'base'), false);
    await commit(subject, two, 'base');
    assert.equal(await claim(subject, two, 'top', 'base'), false);
    assert.equal(await claim(subject, one, 'top', 'base'), true, 'it is there');
    await stop();
  });

  it('takes a tree only on the tree that it was made on', async () => {
    await using folder = await temporaryFolder();
    const { subject, stop } = await start(folder.path, overlay);
    await commit(subject, two, 'base');
    await unpack(subject, one, 'base');
    await unpack(subject, one, 'top', 'base');
    assert.equal(await claim(subject, two, 'top', 'base'), false);
    await assert.rejects(claim(subject, two, 'top', 'absent'), (error) => kindOf(error) === 'not found');
    await stop();
  });

  it('shares nothing between isolated namespaces', async () => {
    await using folder = await temporaryFolder();
    const { subject, stop } = await start(folder.path, overlay, 'boot-1', false);
    await unpack(subject, one, 'base');
    assert.equal(await claim(subject, two, 'base'), false);
    assert.equal(chainsOf(subject).has('two', 'base'), false);
    await stop();
  });

  it('shows nothing before the commit, and nothing is left of what is discarded or of a crash', async () => {
    await using folder = await temporaryFolder();
    const first = await start(folder.path, native);
    await unpack(first.subject, one, 'base');
    assert.equal(await claim(first.subject, two, 'base'), true);
    const tree = await chainsOf(first.subject).begin(one, 'top', 'base', NO_LABELS);
    await chainsOf(first.subject).begin(one, 'other', 'base', NO_LABELS);
    await first.subject.cleanup();
    assert.equal((await first.trees()).length, 3, 'trees in the making are no garbage');
    assert.deepEqual(names(first.subject, one), ['base']);
    await tree.discard();
    await first.subject.cleanup();
    assert.equal((await first.trees()).length, 2);
    await first.crash();
    const second = await start(folder.path, native);
    await second.subject.cleanup();
    assert.equal((await second.trees()).length, 1);
    await second.subject.remove(one, 'base');
    await second.subject.cleanup();
    assert.equal((await second.trees()).length, 1, 'the index is there after a restart');
    await second.stop();
  });

  it('is discarded when a client has taken the name', async () => {
    await using folder = await temporaryFolder();
    const { subject, trees, stop } = await start(folder.path, overlay);
    const tree = await chainsOf(subject).begin(one, 'base', '', NO_LABELS);
    await commit(subject, one, 'base');
    await assert.rejects(tree.commit(''), (error) => kindOf(error) === 'already exists');
    await tree.discard();
    await subject.cleanup();
    assert.equal((await trees()).length, 1);
    await stop();
  });

  it('goes from all namespaces after a power cut that took its files', async () => {
    await using folder = await temporaryFolder();
    const stuck = async (root: string): Promise<Driver> => ({
      ...(await overlay(root)),
      sync: () => new Promise<void>(() => undefined),
    });
    const first = await start(folder.path, stuck);
    await unpack(first.subject, one, 'base', '', false);
    await chainsOf(first.subject).claim(two, 'base', '', ROOT);
    assert.deepEqual(names(first.subject, two), ['base']);
    await first.crash();
    const second = await start(folder.path, overlay, 'boot-2');
    await second.subject.cleanup();
    assert.deepEqual([names(second.subject, one), names(second.subject, two), await second.trees()], [[], [], []]);
    await second.stop();
  });
});
