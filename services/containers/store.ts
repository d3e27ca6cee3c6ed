// Containers as records.
import type { Publisher } from '../events/api.ts';
import { Failure, alreadyExists, invalidArgument, notFound } from '../lib/errors.ts';
import { maskedMap } from '../lib/field-mask.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { validateIdentifier } from '../lib/identifiers.ts';
import { labelsToWire, validateLabels } from '../lib/labels.ts';
import { now } from '../lib/time.ts';
import type { Metadata } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { Any, Container, Containers } from './api.ts';
import { containerCodec, type ContainerSpec } from './convert.ts';
import { createContainerCollectable } from './gc.ts';

export interface ContainersDeps {
  readonly metadata: Metadata;
  readonly gc: GarbageCollector;
  readonly namespaces: { register(occupant: Occupant): void };
  readonly events: Publisher;
}

export interface ContainerStore extends Containers {
  /** Throws `already exists`; `invalid argument`. */
  create(namespace: string, spec: ContainerSpec): Promise<Container>;
  /**
   * Changes what `mask` says (`labels`, `labels.<key>`, `spec`, `extensions`, `extensions.<key>`,
   * `image`, `snapshotkey`), all of these when it is empty. Throws `not found`; `invalid argument`.
   */
  update(namespace: string, spec: ContainerSpec, mask: readonly string[]): Promise<Container>;
  /** Does not look at tasks. Throws `not found`. */
  delete(namespace: string, id: string): Promise<void>;
}

/** What an update may change. */
const MUTABLE = ['labels', 'spec', 'extensions', 'image', 'snapshotkey'];

export function createContainers({ metadata, gc, namespaces, events }: ContainersDeps): ContainerStore {
  const table = metadata.table<Container>('containers', containerCodec());

  gc.register(createContainerCollectable(table));
  namespaces.register({ remaining: (namespace) => (table.size(namespace) > 0 ? ['containers'] : []) });

  return {
    get(namespace, id) {
      const container = table.get(namespace, id);
      if (container === undefined) throw notFound(`container "${id}" in namespace "${namespace}"`);
      return container;
    },

    list(namespace, filters) {
      const matches = parseFilters(filters);
      return table
        .list(namespace)
        .map(([, container]) => container)
        .filter((container) => matches((path) => field(container, path)));
    },

    async create(namespace, given) {
      const spec = validated(given, 'create container failed validation');
      const container = await metadata.update((transaction) => {
        if (table.has(namespace, spec.id)) throw alreadyExists(`container "${spec.id}"`);
        const created = now();
        const container: Container = { ...spec, created, updated: created };
        transaction.put(table, namespace, spec.id, container);
        return container;
      });
      const { id, image, runtime } = container;
      events.publish(namespace, '/containers/create', 'containerd.events.ContainerCreate', { id, image, runtime });
      return container;
    },

    async update(namespace, given, mask) {
      if (given.id === '') throw new Failure('invalid argument', 'Container.ID required');
      const container = await metadata.update((transaction) => {
        const before = table.get(namespace, given.id);
        if (before === undefined) throw notFound(`container "${given.id}"`);
        if (mask.length === 0) refuseImmutable(before, given);
        const paths = mask.length === 0 ? MUTABLE : mask;
        const changed = paths.reduce<ContainerSpec>((container, path) => masked(container, given, path), before);
        const container: Container = {
          ...validated(changed, 'update failed validation'),
          created: before.created,
          updated: now(),
        };
        transaction.put(table, namespace, given.id, container);
        return container;
      });
      const { id, image, labels, snapshotKey } = container;
      events.publish(namespace, '/containers/update', 'containerd.events.ContainerUpdate', {
        id,
        image,
        labels: labelsToWire(labels),
        snapshot_key: snapshotKey,
      });
      return container;
    },

    async delete(namespace, id) {
      await metadata.update((transaction) => {
        if (!table.has(namespace, id)) throw notFound(`container "${id}"`);
        transaction.delete(table, namespace, id);
        gc.deleted();
      });
      events.publish(namespace, '/containers/delete', 'containerd.events.ContainerDelete', { id });
    },
  };
}

function refuseImmutable(before: Container, given: ContainerSpec): void {
  if (given.snapshotter !== before.snapshotter) throw invalidArgument('container.Snapshotter field is immutable');
  if (given.runtime.name !== before.runtime.name) throw invalidArgument('container.Runtime.Name field is immutable');
}

function masked(container: ContainerSpec, given: ContainerSpec, path: string): ContainerSpec {
  switch (path) {
    case 'spec':
      return { ...container, spec: given.spec };
    case 'image':
      return { ...container, image: given.image };
    case 'snapshotkey':
      return { ...container, snapshotKey: given.snapshotKey };
  }
  const labels = maskedMap('labels', path, container.labels, given.labels);
  if (labels !== undefined) return { ...container, labels };
  const extensions = maskedMap('extensions', path, container.extensions, given.extensions);
  if (extensions !== undefined) return { ...container, extensions };
  throw invalidArgument(`cannot update "${path}" field on "${container.id}"`);
}

function validated(container: ContainerSpec, context: string): ContainerSpec & { readonly spec: Any } {
  const { spec } = container;
  try {
    validateIdentifier(container.id, 'container.ID');
    if (container.extensions.has('')) throw invalidArgument('container.Extension keys must not be zero-length');
    validateLabels(container.labels, 'containers.Labels');
    if (container.runtime.name === '') throw invalidArgument('container.Runtime.Name must be set');
    if (spec === undefined) throw invalidArgument('container.Spec must be set');
    if (container.snapshotKey !== '' && container.snapshotter === '') {
      throw invalidArgument('container.Snapshotter must be set if container.SnapshotKey is set');
    }
    return { ...container, spec };
  } catch (error) {
    throw error instanceof Failure ? error.in(context) : error;
  }
}

function field({ id, runtime, image, labels }: Container, path: readonly string[]): string | undefined {
  switch (path[0]) {
    case 'id':
      return id;
    case 'runtime':
      return path[1] === 'name' ? runtime.name : undefined;
    case 'image':
      return image === '' ? undefined : image;
    case 'labels':
      return mapField(labels, path);
    default:
      return undefined;
  }
}
