// The labels through which resources hold each other (under `containerd.io/gc.`):
//
//   root                                   the resource is needed
//   ref.content[.x | /x] = digest          it needs that blob
//   ref.image[.x | /x] = name              ... that image
//   ref.mount[.x | /x] = name              ... that activation of mounts
//   ref.snapshot.<snapshotter>[/x] = key   ... that snapshot
//   bref.{content,image,container}[.x | /x], bref.snapshot.<snapshotter>[/x]
//                                          it is needed while that resource is
//   cond.snapshot.<snapshotter>[/x] = usedat<24h|key
//                                          it needs that snapshot while that was used in the last 24 hours
//   cond.value-usedat = time               when a snapshot was used
//   expire = RFC 3339 time                 a lease or an image is none any more after that
//   flat                                   a lease holds what it names, not what that refers to
import { parseDuration } from './duration.ts';
import type { Labels } from './labels.ts';

export interface Target {
  readonly type: string;
  readonly key: string;
}

/** A reference that counts only while one of the times at which its target was used passes the test. */
export interface Conditional extends Target {
  holds(used: number, now: number): boolean;
}

export interface GcLabels {
  readonly root: boolean;
  readonly references: readonly Target[];
  /** Resources that, while needed, need the bearer of the label. */
  readonly backReferences: readonly Target[];
  readonly conditionals: readonly Conditional[];
  /** Times in milliseconds since 1970. */
  readonly used: readonly number[];
}

const PREFIX = 'containerd.io/gc.';
const NONE: GcLabels = { root: false, references: [], backReferences: [], conditionals: [], used: [] };

/** Labels of a record never change, so each set of them is read once. */
const known = new WeakMap<Labels, GcLabels>();

export function gcLabels(labels: Labels): GcLabels {
  if (labels.size === 0) return NONE;
  let read = known.get(labels);
  if (read === undefined) {
    read = readLabels(labels);
    known.set(labels, read);
  }
  return read;
}

/** When the label `gc.expire` ends a resource, in milliseconds since 1970; Infinity without a valid one. */
export function expiry(labels: Labels): number {
  return parseTime(labels.get(`${PREFIX}expire`)) ?? Infinity;
}

/** Whether a lease with these labels holds only what it names, not what that refers to. */
export function isFlat(labels: Labels): boolean {
  return labels.has(`${PREFIX}flat`);
}

function readLabels(labels: Labels): GcLabels {
  let found:
    { -readonly [Key in keyof GcLabels]: GcLabels[Key] extends readonly (infer T)[] ? T[] : boolean } | undefined;
  for (const [label, value] of labels) {
    if (!label.startsWith(PREFIX)) continue;
    found ??= { root: false, references: [], backReferences: [], conditionals: [], used: [] };
    const name = label.slice(PREFIX.length);
    if (name.startsWith('root')) found.root = true;
    else if (name.startsWith('ref.')) found.references.push(...target(name.slice(4), value));
    else if (name.startsWith('bref.')) found.backReferences.push(...target(name.slice(5), value));
    else if (name.startsWith('cond.snapshot')) found.conditionals.push(...conditionals(name.slice(13), value));
    else if (name.startsWith('cond.value-usedat'))
      found.used.push(...[parseTime(value)].filter((time) => time !== undefined));
  }
  return found ?? NONE;
}

const TYPES: Readonly<Record<string, string>> = {
  content: 'content',
  image: 'images',
  container: 'containers',
  mount: 'mounts',
};

/** What `content.config`, `content/config` or `snapshot.overlayfs/x` point to; nothing for other names. */
function target(name: string, value: string): Target[] {
  const [, word = '', rest = ''] = /^([a-z]+)(.*)$/s.exec(name) ?? [];
  if (word === 'snapshot' && rest.startsWith('.'))
    return [{ type: 'snapshots', key: `${upToSlash(rest.slice(1))}/${value}` }];
  const type = Object.hasOwn(TYPES, word) ? TYPES[word] : undefined;
  if (type === undefined || !/^(?:[./]|$)/.test(rest)) return [];
  return [{ type, key: value }];
}

function conditionals(rest: string, value: string): Conditional[] {
  const bar = value.indexOf('|');
  if (bar < 0) return [];
  const key = `${upToSlash(rest.replace(/^[./]+/, ''))}/${value.slice(bar + 1)}`;
  const found: Conditional[] = [];
  for (const condition of value.slice(0, bar).split(',')) {
    const [, operator, duration] = /^usedat([<>])([^=].*)$/.exec(condition) ?? [];
    const age = duration === undefined ? undefined : milliseconds(duration);
    if (age === undefined) continue;
    found.push({
      type: 'snapshots',
      key,
      holds: (used, now) => (operator === '<' ? now - used < age : now - used > age),
    });
  }
  return found;
}

function milliseconds(duration: string): number | undefined {
  try {
    return parseDuration(duration);
  } catch {
    return undefined;
  }
}

function upToSlash(text: string): string {
  const slash = text.indexOf('/');
  return slash < 0 ? text : text.slice(0, slash);
}

/** RFC 3339; anything else is ignored, as in containerd. */
function parseTime(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text))
    return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
