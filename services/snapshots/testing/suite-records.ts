// The part of the suite about names, kinds, labels and errors.
import assert from 'node:assert/strict';
import { NO_LABELS } from '../../lib/labels.ts';
import { fails, type Bench, type Capabilities } from './bench.ts';

const milliseconds = ({ seconds, nanos }: { seconds: number; nanos: number }): number => seconds * 1000 + nanos / 1e6;

export function recordTests(bench: () => Bench, capabilities: Capabilities, another: () => Promise<Bench>): void {
  it('prepares, commits and removes', async () => {
    const { subject, namespace, scope, prepare, commit } = bench();
    const before = Date.now();
    await subject.prepare(scope, 'key', '', new Map([['color', 'blue']]));
    const active = await subject.stat(namespace, 'key');
    assert.equal(active.name, 'key');
    assert.equal(active.kind, 'active');
    assert.equal(active.parent, '');
    assert.deepEqual([...active.labels], [['color', 'blue']]);
    assert.deepEqual(active.created, active.updated);
    assert(milliseconds(active.created) >= before - 1 && milliseconds(active.created) <= Date.now() + 1);

    await subject.commit(scope, 'name', 'key', '', new Map([['size', 'big']]));
    const committed = await subject.stat(namespace, 'name');
    assert.equal(committed.kind, 'committed');
    assert.deepEqual([...committed.labels], [['size', 'big']], 'labels are replaced, not inherited');
    await fails(() => subject.stat(namespace, 'key'), 'not found', /snapshot key does not exist: not found$/);

    await prepare('key', 'name');
    assert.equal((await subject.stat(namespace, 'key')).parent, 'name');
    await commit('child', 'key');
    assert.equal((await subject.stat(namespace, 'child')).parent, 'name');
    await subject.remove(scope, 'child');
    await subject.remove(scope, 'name');
    assert.deepEqual(await subject.list(namespace, []), []);
  });

  it('refuses a key in use', async () => {
    const { prepare, view, commit } = bench();
    await prepare('key');
    await prepare('committed');
    await commit('name', 'committed');
    for (const key of ['key', 'name']) {
      await fails(prepare(key), 'already exists', new RegExp(`snapshot "${key}": already exists$`));
      await fails(view(key, 'name'), 'already exists', /already exists$/);
    }
  });

  it('lets one of several concurrent callers have a key', async () => {
    const { subject, namespace, prepare } = bench();
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => prepare('key')));
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        await fails(Promise.reject(outcome.reason as Error), 'already exists', /already exists$/);
    }
    assert.equal((await subject.list(namespace, [])).length, 1);
  });

  it('wants a parent that exists and is committed', async () => {
    const { prepare, view } = bench();
    await prepare('key');
    await fails(prepare('child', 'missing'), 'not found', /parent snapshot missing does not exist: not found$/);
    await fails(view('child', 'missing'), 'not found', /not found$/);
    await fails(prepare('child', 'key'), 'invalid argument', /is not committed snapshot: invalid argument$/);
    await fails(view('child', 'key'), 'invalid argument', /is not committed snapshot: invalid argument$/);
  });

  it('removes children before parents', async () => {
    const { subject, scope, prepare, view, commit } = bench();
    await prepare('key');
    await commit('base', 'key');
    await prepare('active', 'base');
    await view('view', 'base');
    for (const child of ['active', 'view']) {
      await fails(
        () => subject.remove(scope, 'base'),
        'failed precondition',
        /cannot remove snapshot with child: failed precondition$/,
      );
      await subject.remove(scope, child);
    }
    await subject.remove(scope, 'base');
    await fails(() => subject.remove(scope, 'base'), 'not found', /snapshot base does not exist: not found$/);
  });

  it('commits only what is active, to a name that is free', async () => {
    const { subject, namespace, prepare, view, commit } = bench();
    await prepare('first');
    await commit('base', 'first');
    await prepare('second', 'base');
    await view('view', 'base');
    await fails(commit('base', 'second'), 'already exists', /snapshot "base": already exists$/);
    await fails(commit('new', 'missing'), 'not found', /snapshot missing does not exist: not found$/);
    if (capabilities.classified)
      await fails(commit('new', 'view'), 'failed precondition', /is not active: failed precondition$/);
    else await assert.rejects(commit('new', 'view'));
    await fails(commit('new', 'base'), 'failed precondition', /is not active: failed precondition$/);
    assert.equal((await subject.stat(namespace, 'second')).kind, 'active');
    await fails(() => subject.stat(namespace, 'new'), 'not found', /not found$/);
  });

  it('gives the mounts of what can be mounted', async () => {
    const { subject, namespace, prepare, view, commit } = bench();
    await prepare('key');
    await commit('base', 'key');
    const active = await prepare('active', 'base');
    const seen = await view('view', 'base');
    assert.deepEqual(await subject.mounts(namespace, 'active'), active);
    assert.deepEqual(await subject.mounts(namespace, 'view'), seen);
    await fails(
      () => subject.mounts(namespace, 'base'),
      'failed precondition',
      /not active( or view)?: failed precondition$/,
    );
    await fails(() => subject.mounts(namespace, 'missing'), 'not found', /snapshot missing does not exist: not found$/);
  });

  it('puts a snapshot on another parent when it is committed', async function () {
    if (!capabilities.rebase) this.skip();
    const { subject, namespace, scope, prepare, commit } = bench();
    await prepare('key');
    await commit('base', 'key');
    await prepare('alone');
    await prepare('active');
    await fails(commit('top', 'alone', 'missing'), 'not found', /parent snapshot missing does not exist: not found$/);
    await fails(commit('top', 'alone', 'active'), 'failed precondition', /is not committed: failed precondition$/);
    await commit('top', 'alone', 'base');
    assert.equal((await subject.stat(namespace, 'top')).parent, 'base');
    await fails(() => subject.remove(scope, 'base'), 'failed precondition', /with child/);
  });

  it('tells a client that the layer it is about to unpack exists', async () => {
    const { subject, namespace, scope, prepare, commit } = bench();
    await prepare('key');
    await commit('layer', 'key');
    const labels = new Map([['containerd.io/snapshot.ref', 'layer']]);
    await fails(
      () => subject.prepare(scope, 'extract', '', labels),
      'already exists',
      /target snapshot "layer": already exists$/,
    );
    await fails(() => subject.stat(namespace, 'extract'), 'not found', /not found$/);
    await subject.prepare(scope, 'other', '', new Map([['containerd.io/snapshot.ref', 'absent']]));
  });

  it('changes labels and nothing else', async () => {
    const { subject, namespace, scope } = bench();
    await subject.prepare(
      scope,
      'key',
      '',
      new Map([
        ['a', '1'],
        ['b.c/d', '2'],
      ]),
    );
    const first = await subject.stat(namespace, 'key');
    const labelsOf = async (): Promise<Record<string, string>> =>
      Object.fromEntries((await subject.stat(namespace, 'key')).labels) as Record<string, string>;

    await subject.update(
      namespace,
      'key',
      new Map([
        ['b.c/d', '3'],
        ['ignored', 'x'],
      ]),
      ['labels.b.c/d'],
    );
    assert.deepEqual(await labelsOf(), { a: '1', 'b.c/d': '3' });
    await subject.update(namespace, 'key', NO_LABELS, ['labels.a']);
    assert.deepEqual(await labelsOf(), { 'b.c/d': '3' });
    await subject.update(namespace, 'key', new Map([['z', '9']]), ['labels']);
    assert.deepEqual(await labelsOf(), { z: '9' });
    const last = await subject.update(namespace, 'key', new Map([['y', '8']]), []);
    assert.deepEqual(await labelsOf(), { y: '8' });

    assert.deepEqual(last.created, first.created);
    assert(milliseconds(last.updated) >= milliseconds(first.updated));
    assert.equal(last.kind, 'active');
    await fails(
      () => subject.update(namespace, 'key', NO_LABELS, ['parent']),
      'invalid argument',
      /cannot update "parent" field on snapshot "key"/,
    );
    await fails(
      () => subject.update(namespace, 'missing', NO_LABELS, ['labels']),
      'not found',
      /snapshot missing does not exist: not found$/,
    );
  });

  it('refuses labels that are too long', async () => {
    const { subject, namespace, scope, prepare } = bench();
    const long = new Map([['key', 'x'.repeat(4094)]]);
    await fails(() => subject.prepare(scope, 'key', '', long), 'invalid argument', /greater than maximum size/);
    await prepare('key');
    await fails(
      () => subject.update(namespace, 'key', long, ['labels.key']),
      'invalid argument',
      /greater than maximum size/,
    );
    await fails(() => subject.commit(scope, 'name', 'key', '', long), 'invalid argument', /greater than maximum size/);
  });

  it('lists what filters ask for', async () => {
    const { subject, namespace, scope, prepare, view, commit } = bench();
    await prepare('b');
    await commit('base', 'b');
    await subject.prepare(
      scope,
      'a',
      'base',
      new Map([
        ['team', 'red'],
        ['containerd.io/gc.root', 'x'],
      ]),
    );
    await view('c', 'base');
    const names = async (...filters: string[]): Promise<string[]> =>
      (await subject.list(namespace, filters)).map((info) => info.name);

    assert.deepEqual(await names(), ['a', 'base', 'c']);
    assert.deepEqual(await names('kind==committed'), ['base']);
    assert.deepEqual(await names('kind==active', 'kind==view'), ['a', 'c']);
    assert.deepEqual(await names('parent==base,kind!=view'), ['a']);
    assert.deepEqual(await names('name~=/^[bc]/'), ['base', 'c']);
    assert.deepEqual(await names('labels.team'), ['a']);
    assert.deepEqual(await names('labels."containerd.io/gc.root"==x'), ['a']);
    assert.deepEqual(await names('labels.team==blue'), []);
    await fails(
      () => subject.list(namespace, ['kind=?']),
      capabilities.classified ? 'invalid argument' : 'unknown',
      /parse error/,
    );
  });

  it('lists more than a message holds', async () => {
    const { subject, namespace, prepare } = bench();
    const keys = Array.from({ length: 205 }, (_, index) => `key-${String(index).padStart(3, '0')}`);
    for (const key of keys) await prepare(key);
    assert.deepEqual(
      (await subject.list(namespace, [])).map((info) => info.name),
      keys,
    );
  });

  it('keeps namespaces apart', async () => {
    const { subject, namespace, prepare, commit } = bench();
    const other = await another();
    await prepare('key');
    await commit('name', 'key');
    await fails(other.prepare('child', 'name'), 'not found', /parent snapshot name does not exist: not found$/);
    await other.prepare('name');
    assert.equal((await subject.stat(namespace, 'name')).kind, 'committed');
    assert.equal((await subject.stat(other.namespace, 'name')).kind, 'active');
    await other.removeAll();
    assert.equal((await subject.list(namespace, [])).length, 1);
  });

  it('takes any text as a key', async () => {
    const { subject, namespace, prepare } = bench();
    const keys = ['__proto__', '../../escape', 'extract-123 sha256:abc', 'größe', `long-${'x'.repeat(300)}`];
    for (const key of keys) await prepare(key);
    const infos = await subject.list(namespace, []);
    assert.deepEqual(new Set(infos.map((info) => info.name)), new Set(keys));
  });

  it('wants a lease that exists', async () => {
    const { subject, namespace } = bench();
    const scope = { namespace, lease: 'no-such-lease' };
    await fails(() => subject.prepare(scope, 'key', '', NO_LABELS), 'not found', /lease.*not found$/);
    assert.deepEqual(await subject.list(namespace, []), []);
  });
}
