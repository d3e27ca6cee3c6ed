// Namespaces as records: one for each namespace that exists, with its labels.
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from '../lib/errors.ts';
import { maskedMap } from '../lib/field-mask.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import { NO_LABELS, labelsToWire, validateLabels, type Labels } from '../lib/labels.ts';
import type { Publisher } from '../events/api.ts';
import type { Metadata } from '../metadata/api.ts';
import { jsonCodec } from '../metadata/codec.ts';
import type { Namespaces, Occupant } from './api.ts';

export interface NamespacesDeps {
  readonly metadata: Metadata;
  readonly events: Publisher;
}

interface Record {
  readonly labels: Labels;
}

export function createNamespaces({ metadata, events }: NamespacesDeps): Namespaces {
  const table = metadata.table<Record>('namespaces', jsonCodec());
  const occupants: Occupant[] = [];

  metadata.whenWritten((transaction, namespace) => {
    if (!table.has('', namespace)) transaction.put(table, '', namespace, { labels: NO_LABELS });
  });

  return {
    register: (occupant) => void occupants.push(occupant),
    labels: (name) => table.get('', name)?.labels ?? NO_LABELS,
    list: () => table.list('').map(([name]) => name),

    async create(name, labels) {
      await metadata.update((transaction) => {
        validateIdentifier(name);
        validateLabels(labels, 'namespace.Labels');
        if (table.has('', name)) throw alreadyExists(`namespace "${name}"`);
        transaction.put(table, '', name, { labels });
      });
      events.publish(name, '/namespaces/create', 'containerd.events.NamespaceCreate', {
        name,
        labels: labelsToWire(labels),
      });
    },

    async update(name, labels, mask) {
      await metadata.update((transaction) => {
        validateIdentifier(name);
        let updated = mask.length === 0 ? labels : (table.get('', name)?.labels ?? NO_LABELS);
        for (const path of mask) {
          const changed = path === 'labels' ? undefined : maskedMap('labels', path, updated, labels);
          if (changed === undefined) throw invalidArgument(`cannot update "${path}" field`);
          updated = changed;
        }
        validateLabels(updated, 'namespace.Labels');
        transaction.put(table, '', name, { labels: updated });
      });
      events.publish(name, '/namespaces/update', 'containerd.events.NamespaceUpdate', {
        name,
        labels: labelsToWire(labels),
      });
    },

    async delete(name) {
      await metadata.update((transaction) => {
        const remaining = occupants.flatMap((occupant) => occupant.remaining(name));
        if (remaining.length > 0) {
          throw failedPrecondition(`namespace "${name}" must be empty, but it still has ${remaining.join(', ')}`);
        }
        if (!table.has('', name)) throw notFound(`namespace "${name}"`);
        for (const occupant of occupants) occupant.clear?.(transaction, name);
        transaction.delete(table, '', name);
      });
      events.publish(name, '/namespaces/delete', 'containerd.events.NamespaceDelete', { name });
    },
  };
}
