// What a collection must leave of resources that hold each other: computed from how they were made, not from
// the labels that say so to the collector.
import fc from 'fast-check';

/** `content 3`, `images 0`, `containers 1`, `leases 0`, `ingests 2`, `snapshots/<snapshotter> k1`. */
export type Name = `${string} ${string}`;

/** A label by which one resource holds another: it refers to it, is held by it, or refers to it while that is in use. */
export interface Link {
  readonly word: 'ref' | 'bref' | 'cond';
  readonly to: Name;
}

export interface Resource {
  readonly links: readonly Link[];
  readonly root: boolean;
  /** Of images and leases. */
  readonly expire: 'never' | 'past' | 'future';
  /** Of leases: what it holds does not hold anything in turn, but for parents and targets. */
  readonly flat: boolean;
  /** Of snapshots: says that it was used just now. */
  readonly used: boolean;
  /** What it needs by its nature: an image its target, a container its snapshot, a snapshot its parent, a lease all that it holds. */
  readonly needs: ReadonlySet<Name>;
  /** Of ingests: nobody holds it, it is kept for a day. */
  readonly fresh: boolean;
}

export const PLAIN: Resource = {
  links: [],
  root: false,
  expire: 'never',
  flat: false,
  used: false,
  needs: new Set(),
  fresh: false,
};

export type Graph = ReadonlyMap<Name, Resource>;

export const typeOf = (name: Name): string => name.slice(0, name.indexOf(' '));
export const keyOf = (name: Name): string => name.slice(name.indexOf(' ') + 1);

/** Whether it stays for its own sake. */
export function isRoot(name: Name, { root, expire, fresh }: Resource): boolean {
  switch (typeOf(name)) {
    case 'containers':
      return true;
    case 'images':
    case 'leases':
      return expire !== 'past';
    case 'ingests':
      return fresh;
    default:
      return root;
  }
}

/** What is there after a collection. */
export function survivors(graph: Graph): Set<Name> {
  const whole = new Set<Name>();
  const flat = new Set<Name>();
  for (const [name, resource] of graph) if (isRoot(name, resource)) whole.add(name);
  for (let before = -1; before !== whole.size + flat.size;) {
    before = whole.size + flat.size;
    for (const [name, { links, needs, flat: isFlat }] of graph) {
      for (const { word, to } of links) {
        if (word === 'bref' && whole.has(to)) whole.add(name);
        if (word === 'ref' && whole.has(name)) whole.add(to);
        if (word === 'cond' && whole.has(name) && graph.get(to)?.used) whole.add(to);
      }
      const flatly = !whole.has(name) || (typeOf(name) === 'leases' && isFlat);
      if (!whole.has(name) && !flat.has(name)) continue;
      for (const to of needs) (flatly && typeOf(to) !== 'ingests' ? flat : whole).add(to);
    }
  }
  return new Set([...graph.keys()].filter((name) => whole.has(name) || flat.has(name)));
}

const PAST = '2020-01-01T00:00:00Z';
const FUTURE = '2120-01-01T00:00:00+01:00';
const WORDS: Readonly<Record<string, string>> = { content: 'content', images: 'image', containers: 'container' };

/** The labels that say so; `digest` gives the key of content. */
export function labelsOf(resource: Resource, digest: (content: string) => string): Map<string, string> {
  const labels = new Map([['unrelated', 'x']]);
  const put = (name: string, value: string): void => void labels.set(`containerd.io/gc.${name}`, value);
  for (const [at, { word, to }] of resource.links.entries()) {
    const [type = '', snapshotter] = typeOf(to).split('/');
    const key = type === 'content' ? digest(keyOf(to)) : keyOf(to);
    if (word === 'cond') put(`cond.snapshot.${snapshotter}/${at}`, `usedat<24h|${key}`);
    else if (snapshotter !== undefined) put(`${word}.snapshot.${snapshotter}/${at}`, key);
    else put(`${word}.${WORDS[type]}${at % 2 === 0 ? '.' : '/'}${at}`, key);
  }
  if (resource.root) put('root', 'now');
  if (resource.expire !== 'never') put('expire', resource.expire === 'past' ? PAST : FUTURE);
  if (resource.flat) put('flat', '1');
  if (resource.used) put('cond.value-usedat', new Date(Date.now() - 3_600_000).toISOString());
  return labels;
}

export const SNAPSHOTTERS = ['overlayfs', 'native'] as const;
const COUNT = 3;

const number = fc.nat(COUNT - 1);
const ofType = (...types: string[]): fc.Arbitrary<Name> =>
  fc.tuple(fc.constantFrom(...types), number).map(([type, at]): Name => `${type} ${at}`);
const snapshot = (letters: string): fc.Arbitrary<Name> =>
  fc
    .tuple(fc.constantFrom(...SNAPSHOTTERS), fc.constantFrom(...letters), number)
    .map(([snapshotter, letter, at]): Name => `snapshots/${snapshotter} ${letter}${at}`);

const link: fc.Arbitrary<Link> = fc.oneof(
  fc.record({ word: fc.constant('ref' as const), to: fc.oneof(ofType('content', 'images'), snapshot('ac')) }),
  fc.record({
    word: fc.constant('bref' as const),
    to: fc.oneof(ofType('content', 'images', 'containers'), snapshot('ac')),
  }),
  fc.record({ word: fc.constant('cond' as const), to: snapshot('ac') }),
);

/** One thing that a client does. Which of the fields count depends on `does` and on the type of `name`. */
export interface Action {
  readonly does: 'put' | 'label' | 'delete' | 'commit' | 'hold' | 'release';
  readonly namespace: number;
  readonly name: Name;
  readonly resource: Resource;
  /** Under which lease. */
  readonly lease: Name | undefined;
  /** What an image, a container, a snapshot or a lease then needs. */
  readonly other: Name;
}

const action = (name: fc.Arbitrary<Name>, other: fc.Arbitrary<Name>, does: readonly Action['does'][]) =>
  fc.record<Action>({
    does: fc.constantFrom(...does),
    namespace: fc.nat(1),
    name,
    resource: fc.record({
      links: fc.array(link, { maxLength: 2 }),
      root: fc.nat(3).map((at) => at === 0),
      expire: fc.constantFrom('never', 'never', 'future', 'past'),
      flat: fc.boolean(),
      used: fc.boolean(),
      needs: fc.constant(new Set<Name>()),
      fresh: fc.constant(false),
    }),
    lease: fc.option(ofType('leases'), { nil: undefined }),
    other,
  });

/** The parent of a snapshot that has none. */
export const NOTHING: Name = ' ';

/** A snapshot and its parent are one snapshotter's. */
const sameDriver = (drawn: Action): Action =>
  drawn.other === NOTHING ? drawn : { ...drawn, other: `${typeOf(drawn.name)} ${keyOf(drawn.other)}` };

const most: readonly Action['does'][] = ['put', 'put', 'put', 'put', 'delete'];

export const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: action(ofType('content'), ofType('content'), [...most, 'label']) },
  { weight: 2, arbitrary: action(ofType('images'), ofType('content'), most) },
  { weight: 2, arbitrary: action(ofType('containers'), snapshot('ac'), most) },
  {
    weight: 3,
    arbitrary: action(ofType('leases'), fc.oneof(ofType('content', 'images', 'ingests'), snapshot('ac')), [
      'put',
      'put',
      'delete',
      'hold',
      'hold',
      'release',
    ]),
  },
  { weight: 1, arbitrary: action(ofType('ingests'), ofType('content'), most) },
  {
    weight: 6,
    arbitrary: action(snapshot('a'), fc.oneof(snapshot('c'), fc.constant(NOTHING), fc.constant(NOTHING)), most).map(
      sameDriver,
    ),
  },
  { weight: 4, arbitrary: action(snapshot('a'), snapshot('c'), ['commit']).map(sameDriver) },
  { weight: 1, arbitrary: action(snapshot('c'), fc.constant(NOTHING), ['delete']) },
);
