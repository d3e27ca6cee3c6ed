// Sandboxes as records.
import { alreadyExists, Failure, invalidArgument, notFound } from '../lib/errors.ts';
import { maskedMap } from '../lib/field-mask.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import { validateLabels } from '../lib/labels.ts';
import { now } from '../lib/time.ts';
import type { Metadata } from '../metadata/api.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { Sandbox, Sandboxes, SandboxSpec } from './api.ts';
import { sandboxCodec } from './convert.ts';

export interface SandboxesDeps {
  readonly metadata: Metadata;
  readonly namespaces: { register(occupant: Occupant): void };
}

/** What an update may change. */
const MUTABLE = ['labels', 'extensions', 'spec', 'runtime'];

export function createSandboxes({ metadata, namespaces }: SandboxesDeps): Sandboxes {
  const table = metadata.table<Sandbox>('sandboxes', sandboxCodec());
  namespaces.register({
    remaining: () => [],
    clear(transaction, namespace) {
      for (const [id] of table.list(namespace)) transaction.delete(table, namespace, id);
    },
  });

  return {
    async create(namespace, spec) {
      validate(spec);
      return metadata.update((transaction) => {
        if (table.has(namespace, spec.id)) throw alreadyExists(`sandbox "${spec.id}"`);
        const created = now();
        const sandbox = { ...spec, created, updated: created };
        transaction.put(table, namespace, spec.id, sandbox);
        return sandbox;
      });
    },

    async update(namespace, given, mask) {
      return metadata.update((transaction) => {
        const before = table.get(namespace, given.id);
        if (before === undefined) throw notFound(`sandbox "${given.id}"`);
        if (mask.length === 0 && given.runtime.name !== before.runtime.name) {
          throw invalidArgument('sandbox.Runtime.Name field is immutable');
        }
        const paths = mask.length === 0 ? MUTABLE : mask;
        const changed = paths.reduce<SandboxSpec>((sandbox, path) => masked(sandbox, given, path), before);
        validate(changed);
        const sandbox = { ...changed, created: before.created, updated: now() };
        transaction.put(table, namespace, given.id, sandbox);
        return sandbox;
      });
    },

    get(namespace, id) {
      const sandbox = table.get(namespace, id);
      if (sandbox === undefined) throw notFound(`sandbox "${id}"`);
      return sandbox;
    },

    list(namespace, filters) {
      const matches = parseFilters(filters);
      const sandboxes = table.list(namespace).map(([, sandbox]) => sandbox);
      return sandboxes.filter(({ id, labels }) =>
        matches((path) => (path[0] === 'id' ? id : path[0] === 'labels' ? mapField(labels, path) : undefined)),
      );
    },

    async delete(namespace, id) {
      await metadata.update((transaction) => {
        if (!table.has(namespace, id)) throw notFound(`failed to delete sandbox "${id}"`);
        transaction.delete(table, namespace, id);
      });
    },
  };
}

function masked(sandbox: SandboxSpec, given: SandboxSpec, path: string): SandboxSpec {
  if (path === 'spec') return { ...sandbox, spec: given.spec };
  if (path === 'runtime') return { ...sandbox, runtime: given.runtime };
  const labels = maskedMap('labels', path, sandbox.labels, given.labels);
  if (labels !== undefined) return { ...sandbox, labels };
  const extensions = maskedMap('extensions', path, sandbox.extensions, given.extensions);
  if (extensions !== undefined) return { ...sandbox, extensions };
  throw invalidArgument(`cannot update "${path}" field on sandbox "${given.id}"`);
}

function validate({ id, labels }: SandboxSpec): void {
  try {
    validateIdentifier(id);
  } catch (error) {
    throw error instanceof Failure ? error.in('failed to validate sandbox: invalid sandbox ID') : error;
  }
  validateLabels(labels);
}
