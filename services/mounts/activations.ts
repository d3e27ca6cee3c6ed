// Activations: mounts that the daemon performs and keeps until nothing needs them any more (api.ts).
//
// The order that makes a crash harmless: the record is written before the first mount, complete when all are
// there, and removed before they are undone. A folder without a record, and a record that is not complete or of an earlier
// boot of the machine, are undone at start; a folder also by garbage collection.
import { alreadyExists, Failure, invalidArgument, notFound, notImplemented } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { validateLabels, type Labels } from '../lib/labels.ts';
import type { Logger } from '../lib/log.ts';
import type { Mount } from '../lib/mount.ts';
import type { Recovery } from '../lib/recovery.ts';
import { now } from '../lib/time.ts';
import type { LeaseHolder, Resource } from '../leases/api.ts';
import type { Metadata } from '../metadata/api.ts';
import { jsonCodec } from '../metadata/codec.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { Activation, Activations, ActiveMount } from './api.ts';
import { makeFileSystem, makeFolders } from './make.ts';
import type { Performer } from './perform.ts';
import { plan, type Plan, type Planned } from './plan.ts';
import { format } from './template.ts';

export interface ActivationsDeps {
  readonly metadata: Metadata;
  readonly gc: Pick<GarbageCollector, 'register' | 'deleted' | 'unswept'>;
  readonly leases: LeaseHolder;
  readonly namespaces: Pick<Namespaces, 'register'>;
  readonly performer: Performer;
  /** Folders below which mounts may ask for folders and file systems to be made; absolute. */
  readonly roots: readonly string[];
  readonly recovery: Recovery;
  readonly log: Logger;
  /** Differs with every start of the machine. */
  readonly boot: string;
}

export interface DaemonActivations extends Activations {
  /** After the metadata was opened and before any call: undoes what is not whole any more. */
  recover(): Promise<void>;
}

/** `boot` and `id` say whose the mounts are; undefined `active`: they are being made. */
interface ActivationRecord {
  readonly id: string;
  readonly boot: string;
  readonly labels: Labels;
  /** That holds it. */
  readonly lease?: string;
  readonly active?: readonly ActiveMount[];
  readonly system: readonly Mount[];
}

const MOUNTS = 'mounts';

export function createActivations(deps: ActivationsDeps): DaemonActivations {
  const { metadata, gc, leases, performer, roots, recovery, log, boot } = deps;
  const table = metadata.table<ActivationRecord>(MOUNTS, jsonCodec());
  /** Ids of activations that are being made, or undone. */
  const busy = new Set<string>();
  let nextId = 1;

  const resource = (name: string): Resource => ({ type: MOUNTS, id: name });
  const recorded = (): Set<string> =>
    new Set(table.namespaces().flatMap((namespace) => table.list(namespace).map(([, { id }]) => id)));

  gc.register({
    type: MOUNTS,
    rootLabel: false,
    namespaces: () => table.namespaces(),
    each(namespace, visit) {
      for (const [name, { labels }] of table.entries(namespace)) visit(name, labels);
    },
    labels: (namespace, name) => table.get(namespace, name)?.labels,
    rootUntil: (namespace, name) => (busy.has(table.get(namespace, name)?.id ?? '') ? Infinity : 0),
    references: () => undefined,
    remove: (transaction, namespace, name) => transaction.delete(table, namespace, name),
    async sweep() {
      const known = recorded();
      for (const id of await performer.ids()) if (!known.has(id) && !busy.has(id)) await performer.undo(id);
    },
  });
  deps.namespaces.register({ remaining: (namespace) => (table.size(namespace) > 0 ? ['mounts'] : []) });

  /** What is asked for before a mount, done; `active` are those before it. */
  async function prepared(
    { mount, transforms }: Planned,
    active: readonly ActiveMount[],
    signal: AbortSignal,
  ): Promise<Mount> {
    let made = mount;
    for (const transform of transforms) {
      if (transform === 'format') made = format(made, active);
      else if (transform === 'mkdir') made = await makeFolders(made, roots);
      else made = await makeFileSystem(made, roots, signal);
    }
    return made;
  }

  async function perform(id: string, { performed }: Plan, signal: AbortSignal): Promise<ActiveMount[]> {
    await performer.begin(id);
    const active: ActiveMount[] = [];
    for (const [index, planned] of performed.entries()) {
      signal.throwIfAborted();
      const mount = await prepared(planned, active, signal);
      try {
        active.push({ mount, mountPoint: await performer.perform(id, index, mount), mountedAt: now() });
      } catch (error) {
        const what = `mount ${index} (${mount.type} of ${JSON.stringify(mount.source)})`;
        throw error instanceof Failure
          ? error.in(what)
          : new Failure('unknown', `${what}: ${error instanceof Error ? error.message : String(error)}`, {
              cause: error,
            });
      }
    }
    return active;
  }

  async function remainder({ system }: Plan, active: readonly ActiveMount[], temporary: boolean, signal: AbortSignal) {
    const [first, ...others] = system;
    const left = first === undefined ? [] : [await prepared(first, active, signal)];
    left.push(...others.map(({ mount }) => mount));
    const last = active.at(-1);
    if (!temporary || last === undefined) return left;
    return [...left, { type: 'bind', source: last.mountPoint, target: '', options: ['rbind'] }];
  }

  return {
    async activate(scope, name, mounts, labels, temporary, signal) {
      const { namespace } = scope;
      if (name === '') throw invalidArgument('mount name must not be empty');
      validateLabels(labels, 'mount.Labels');
      const planned = plan(mounts, temporary);
      if (planned === undefined) throw notImplemented(`mount "${name}": nothing to be done by the daemon`);
      const id = String(nextId++);
      const lease = scope.lease === undefined ? {} : { lease: scope.lease };
      const record: ActivationRecord = { id, boot, labels, ...lease, system: [] };
      busy.add(id);
      try {
        await metadata.update((transaction) => {
          if (table.has(namespace, name)) throw alreadyExists(`mount "${name}"`);
          transaction.put(table, namespace, name, record);
          leases.hold(transaction, scope, resource(name));
        });
        try {
          const active = await perform(id, planned, signal);
          await fault('mounts.activate.after-mount');
          const system = await remainder(planned, active, temporary, signal);
          await metadata.update((transaction) =>
            transaction.put(table, namespace, name, { ...record, active, system }),
          );
          return { name, active, system, labels };
        } catch (error) {
          await metadata.update((transaction) => {
            transaction.delete(table, namespace, name);
            leases.release(transaction, scope, resource(name));
          });
          await undo(id);
          throw error;
        }
      } finally {
        busy.delete(id);
      }
    },

    async deactivate(namespace, name) {
      const { id, lease } = existing(namespace, name);
      if (busy.has(id)) throw new Failure('unavailable', `mount "${name}" is being made: unavailable`);
      await metadata.update((transaction) => {
        existing(namespace, name);
        transaction.delete(table, namespace, name);
        leases.release(transaction, { namespace, lease }, resource(name));
      });
      busy.add(id);
      try {
        await performer.undo(id);
      } catch (error) {
        gc.unswept(MOUNTS);
        gc.deleted();
        throw new Failure('unknown', `mount "${name}" is not whole any more, but busy: ${(error as Error).message}`, {
          cause: error,
        });
      } finally {
        busy.delete(id);
      }
    },

    info: (namespace, name) => activationOf(name, existing(namespace, name)),

    list(namespace, filters) {
      const matches = parseFilters(filters);
      return table
        .list(namespace)
        .map(([name, record]) => activationOf(name, record))
        .filter(({ name, labels }) =>
          matches(([field, ...rest]) =>
            field === 'name' ? name : field === 'labels' ? mapField(labels, ['labels', ...rest]) : undefined,
          ),
        );
    },

    async recover() {
      const stale: { namespace: string; name: string; id: string; why: string }[] = [];
      for (const namespace of table.namespaces()) {
        for (const [name, record] of table.list(namespace)) {
          const { id } = record;
          if (record.boot !== boot) stale.push({ namespace, name, id, why: 'of before the machine started' });
          else if (record.active === undefined) stale.push({ namespace, name, id, why: 'was being made' });
        }
      }
      await metadata.update((transaction) => {
        for (const { namespace, name } of stale) transaction.delete(table, namespace, name);
      });
      const known = recorded();
      const left = new Map(
        (await performer.ids())
          .filter((id) => !known.has(id))
          .map((id) => [id, { namespace: '', name: id, id, why: 'was being undone' }]),
      );
      for (const each of stale) left.set(each.id, each);
      for (const { namespace, name, id, why } of left.values()) {
        const found = { what: 'mount activation', namespace, id: name };
        try {
          await performer.undo(id);
          recovery.add({ ...found, outcome: 'removed', detail: why });
        } catch (error) {
          gc.unswept(MOUNTS);
          recovery.add({ ...found, outcome: 'stuck', detail: error instanceof Error ? error.message : String(error) });
        }
      }
      nextId = 1 + [...known, ...left.keys()].reduce((most, id) => Math.max(most, Number.parseInt(id, 10) || 0), 0);
    },
  };

  function existing(namespace: string, name: string): ActivationRecord {
    const record = table.get(namespace, name);
    if (record === undefined) throw notFound(`mount "${name}"`);
    return record;
  }

  /** After a failure; what would not go is left to garbage collection. */
  async function undo(id: string): Promise<void> {
    await performer.undo(id).catch((error: unknown) => {
      gc.unswept(MOUNTS);
      gc.deleted();
      log.warn('mounts of a failed activation not undone, will be tried again', { id, error });
    });
  }
}

function activationOf(name: string, { active = [], system, labels }: ActivationRecord): Activation {
  return { name, active, system, labels };
}
