// A snapshotter under test, in a namespace of its own.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { kindOf, type Kind as ErrorKind } from '../../lib/errors.ts';
import type { Scope } from '../../leases/api.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Snapshotter } from '../api.ts';

/** A Snapshotter, perhaps at the other end of a connection. */
export type Subject = {
  readonly [Name in keyof Omit<Snapshotter, 'name' | 'capabilities' | 'chains'>]: (
    ...parameters: Parameters<Snapshotter[Name]>
  ) => ReturnType<Snapshotter[Name]> | Promise<Awaited<ReturnType<Snapshotter[Name]>>>;
};

export interface Capabilities {
  /** Commit takes a parent. */
  readonly rebase: boolean;
  /** cleanup() leaves no files of removed snapshots. */
  readonly cleanup: boolean;
  /** Every error has its class; containerd leaves a few unclassified. */
  readonly classified: boolean;
}

export type MakeLease = (namespace: string) => Promise<string | undefined>;

/** A snapshotter in a namespace of its own. */
export interface Bench {
  readonly subject: Subject;
  readonly namespace: string;
  /** With a lease, so that garbage collection does not interfere. */
  readonly scope: Scope;
  removeAll(): Promise<void>;
  readonly prepare: (key: string, parent?: string) => ReturnType<Snapshotter['prepare']>;
  readonly view: (key: string, parent?: string) => ReturnType<Snapshotter['view']>;
  readonly commit: (name: string, key: string, parent?: string) => Promise<void>;
}

/** `makeLease` makes a lease in a namespace, where garbage collection is at work. */
export async function createBench(subject: Subject, makeLease: MakeLease): Promise<Bench> {
  const namespace = `suite-${randomBytes(6).toString('hex')}`;
  const scope = { namespace, lease: await makeLease(namespace) };
  return {
    subject,
    namespace,
    scope,
    prepare: async (key, parent = '') => subject.prepare(scope, key, parent, NO_LABELS),
    view: async (key, parent = '') => subject.view(scope, key, parent, NO_LABELS),
    commit: async (committed, key, parent = '') => subject.commit(scope, committed, key, parent, NO_LABELS),
    removeAll: () => removeAll(subject, scope),
  };
}

/** Removes every snapshot of a namespace, children first. */
async function removeAll(subject: Subject, scope: Scope): Promise<void> {
  for (;;) {
    const infos = await subject.list(scope.namespace, []);
    if (infos.length === 0) return;
    const parents = new Set(infos.map((info) => info.parent));
    const leaves = infos.filter((info) => !parents.has(info.name));
    for (const leaf of leaves) await subject.remove(scope, leaf.name);
  }
}

/** Asserts that `work` fails with an error of this class whose text matches. */
export async function fails(work: Promise<unknown> | (() => unknown), kind: ErrorKind, text: RegExp): Promise<void> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    assert.equal(kindOf(error), kind, message);
    assert.match(message, text);
    return;
  }
  assert.fail(`no failure, expected ${kind}`);
}
