// The mark against a model: the same rules, written as a fixed point over all pairs.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { createContainerCollectable } from '../containers/gc.ts';
import type { Container } from '../containers/api.ts';
import { createBlobCollectable } from '../content/gc.ts';
import type { Info } from '../content/api.ts';
import { createImageCollectable } from '../images/gc.ts';
import type { Image } from '../images/api.ts';
import { createLeaseCollectable } from '../leases/gc.ts';
import type { Lease } from '../leases/api.ts';
import { Holdings, type Holding } from '../leases/holdings.ts';
import { jsonCodec } from './codec.ts';
import type { Collectable } from './gc-api.ts';
import { mark } from './gc-mark.ts';
import { MemoryTable } from './table.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const PAST = '2029-01-01T00:00:00Z';
const FUTURE = '2031-01-01T00:00:00+01:00';
const COUNT = 6;

type Type = 'content' | 'snapshots' | 'images' | 'containers' | 'leases';
interface Node {
  readonly type: Type;
  readonly key: string;
}
interface Drawn extends Node {
  readonly present: boolean;
  readonly rooted: boolean;
  readonly expire: 'never' | 'past' | 'future';
  readonly flat: boolean;
  readonly references: readonly Node[];
  readonly backReferences: readonly Node[];
  /** Of a snapshot; and target or snapshot of an image or a container. */
  readonly parent: number;
}

const key = (type: Type, at: number): string => (type === 'snapshots' ? `sn/${at}` : `${type}${at}`);
const node = (...types: Type[]) =>
  fc.tuple(fc.constantFrom(...types), fc.nat(COUNT - 1)).map(([type, at]): Node => ({ type, key: key(type, at) }));

const drawn = (type: Type) =>
  fc.tuple(
    ...Array.from({ length: COUNT }, (_, at) =>
      fc.record({
        type: fc.constant(type),
        key: fc.constant(key(type, at)),
        present: fc.boolean(),
        rooted: fc.boolean(),
        expire: fc.constantFrom('never', 'past', 'future'),
        flat: fc.boolean(),
        references: fc.array(node('content', 'snapshots', 'images'), { maxLength: 2 }),
        backReferences: fc.array(node('content', 'snapshots', 'images', 'containers'), { maxLength: 1 }),
        parent: fc.nat(COUNT - 1),
      }),
    ),
  );

const graph = fc
  .tuple(drawn('content'), drawn('snapshots'), drawn('images'), drawn('containers'), drawn('leases'))
  .map((lists) => lists.flat() as Drawn[]);

function labelsOf({ type, rooted, expire, flat, references, backReferences }: Drawn): Map<string, string> {
  const labels = new Map<string, string>([['unrelated', 'x']]);
  const target = ({ type, key }: Node): [string, string] =>
    type === 'snapshots' ? ['snapshot.sn', key.slice(3)] : [type === 'images' ? 'image' : type.replace(/s$/, ''), key];
  references.forEach((to, at) => {
    const [word, value] = target(to);
    if (type !== 'leases') labels.set(`containerd.io/gc.ref.${word}${at % 2 === 0 ? '.' : '/'}${at}`, value);
  });
  // `snapshot.sn` takes its name after a slash only.
  for (const [label, value] of labels) {
    const fixed = label.replace(/(snapshot\.sn)\./, '$1/');
    if (fixed === label) continue;
    labels.delete(label);
    labels.set(fixed, value);
  }
  for (const from of backReferences) {
    const [word, value] = target(from);
    if (type !== 'leases') labels.set(`containerd.io/gc.bref.${word}`, value);
  }
  if (rooted) labels.set('containerd.io/gc.root', '1');
  if (expire !== 'never') labels.set('containerd.io/gc.expire', expire === 'past' ? PAST : FUTURE);
  if (flat) labels.set('containerd.io/gc.flat', '1');
  return labels;
}

/** The slices' own collectables over tables with the drawn records. */
function kindsOf(nodes: readonly Drawn[]): Map<string, Collectable> {
  const holdings = new Holdings();
  const contents = new MemoryTable<Info>('content', jsonCodec());
  const images = new MemoryTable<Image>('images', jsonCodec());
  const containers = new MemoryTable<Container>('containers', jsonCodec());
  const leases = new MemoryTable<Lease>('leases', jsonCodec());
  const resources = new MemoryTable<Holding>('lease-resources', jsonCodec(), holdings.changed);
  const snapshots = new MemoryTable<{ labels: Map<string, string>; parent: string }>('snapshots', jsonCodec());
  for (const drawn of nodes.filter(({ present }) => present)) {
    const labels = labelsOf(drawn);
    const { key: id, parent } = drawn;
    if (drawn.type === 'content') contents.set('n', id, { labels } as never);
    if (drawn.type === 'images') images.set('n', id, { labels, target: { digest: key('content', parent) } } as never);
    if (drawn.type === 'containers')
      containers.set('n', id, { labels, snapshotter: 'sn', snapshotKey: String(parent) } as never);
    if (drawn.type === 'snapshots') snapshots.set('n', id, { labels, parent: parentOf(drawn) });
    if (drawn.type !== 'leases') continue;
    leases.set('n', id, { labels } as never);
    for (const to of drawn.references) {
      const [type, held] = to.type === 'snapshots' ? ['snapshots/sn', to.key.slice(3)] : [to.type, to.key];
      resources.set('n', `${id} ${type} ${held}`, { lease: id, type: type ?? '', id: held ?? '' });
    }
  }
  const kinds: Collectable[] = [
    createBlobCollectable(contents, async () => undefined),
    createImageCollectable(images, () => undefined),
    createContainerCollectable(containers),
    createLeaseCollectable(leases, resources, holdings),
    {
      type: 'snapshots',
      rootLabel: true,
      namespaces: () => snapshots.namespaces(),
      each: (namespace, visit) => {
        for (const [id, { labels }] of snapshots.entries(namespace)) visit(id, labels);
      },
      labels: (namespace, id) => snapshots.get(namespace, id)?.labels,
      rootUntil: () => 0,
      references(namespace, id, flat, emit) {
        const parent = snapshots.get(namespace, id)?.parent ?? '';
        if (parent !== '') emit('snapshots', parent, flat);
      },
    },
  ];
  return new Map(kinds.map((kind) => [kind.type, kind]));
}

/** Parents have smaller numbers, so chains end. */
function parentOf({ key: id, parent }: Drawn): string {
  const own = Number(id.slice(3));
  return parent < own ? key('snapshots', parent) : '';
}

function model(nodes: readonly Drawn[]): Set<string> {
  const name = ({ type, key }: Node): string => `${type} ${key}`;
  const present = new Map(nodes.filter((each) => each.present).map((each) => [name(each), each]));
  const whole = new Set<string>();
  const flat = new Set<string>();
  for (const each of present.values()) {
    const lives = each.expire !== 'past';
    const isRoot = { content: each.rooted, snapshots: each.rooted, containers: true, images: lives, leases: lives }[
      each.type
    ];
    if (isRoot) whole.add(name(each));
  }
  for (let before = -1; before !== whole.size + flat.size;) {
    before = whole.size + flat.size;
    for (const each of present.values()) {
      const { type } = each;
      for (const from of type === 'leases' ? [] : each.backReferences.slice(-1))
        if (whole.has(name(from))) whole.add(name(each));
      const built: string[] = [];
      if (type === 'images') built.push(`content ${key('content', each.parent)}`);
      if (type === 'containers') built.push(`snapshots ${key('snapshots', each.parent)}`);
      if (type === 'snapshots' && parentOf(each) !== '') built.push(`snapshots ${parentOf(each)}`);
      if (whole.has(name(each))) {
        for (const to of built) whole.add(to);
        for (const to of each.references) (type === 'leases' && each.flat ? flat : whole).add(name(to));
      } else if (flat.has(name(each))) {
        for (const to of built) flat.add(to);
      }
    }
  }
  return new Set([...present.keys()].filter((each) => whole.has(each) || flat.has(each)));
}

describe('mark', () => {
  it('finds what a fixed point over all resources finds', () => {
    fc.assert(
      fc.property(graph, (nodes) => {
        const marked = mark(kindsOf(nodes), 'n', NOW);
        const found = nodes
          .filter(({ type, key, present }) => present && marked.has(type, key))
          .map(({ type, key }) => `${type} ${key}`);
        assert.deepEqual(new Set(found), model(nodes));
      }),
      { numRuns: 2000 },
    );
  });

  it('tells when the next root expires', () => {
    const lease = (at: number, expire: Drawn['expire']): Drawn => ({
      type: 'leases',
      key: key('leases', at),
      present: true,
      rooted: false,
      expire,
      flat: false,
      references: [],
      backReferences: [],
      parent: 0,
    });
    assert.equal(mark(kindsOf([lease(0, 'never'), lease(1, 'past')]), 'n', NOW).nextExpiry, Infinity);
    assert.equal(mark(kindsOf([lease(0, 'never'), lease(1, 'future')]), 'n', NOW).nextExpiry, Date.parse(FUTURE));
  });

  it('marks a chain of 100,000 resources', function () {
    this.timeout(60_000);
    const contents = new MemoryTable<Info>('content', jsonCodec());
    for (let at = 0; at < 100_000; at++) {
      const labels = new Map([[`containerd.io/gc.ref.content.l.0`, `c${String(at + 1).padStart(6, '0')}`]]);
      if (at === 0) labels.set('containerd.io/gc.root', '1');
      contents.set('n', `c${String(at).padStart(6, '0')}`, { labels } as never);
    }
    const kinds = new Map([['content', createBlobCollectable(contents, async () => undefined)]]);
    assert.ok(mark(kinds, 'n', NOW).has('content', 'c099999'));
  });
});
