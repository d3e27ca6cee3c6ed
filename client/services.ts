// The services that a client speaks, by the property they are reached under.
import type { ContainersService } from '../proto/gen/containerd.services.containers.v1.ts';
import type { ContentService } from '../proto/gen/containerd.services.content.v1.ts';
import type { DiffService } from '../proto/gen/containerd.services.diff.v1.ts';
import type { DaemonService } from '../proto/gen/davit.services.daemon.v1.ts';
import type { EventsService } from '../proto/gen/containerd.services.events.v1.ts';
import type { ImagesService } from '../proto/gen/containerd.services.images.v1.ts';
import type { IntrospectionService } from '../proto/gen/containerd.services.introspection.v1.ts';
import type { LeasesService } from '../proto/gen/containerd.services.leases.v1.ts';
import type { MountsService } from '../proto/gen/containerd.services.mounts.v1.ts';
import type { NamespacesService } from '../proto/gen/containerd.services.namespaces.v1.ts';
import type { ControllerService, StoreService } from '../proto/gen/containerd.services.sandbox.v1.ts';
import type { SnapshotsService } from '../proto/gen/containerd.services.snapshots.v1.ts';
import type { StreamingService } from '../proto/gen/containerd.services.streaming.v1.ts';
import type { TasksService } from '../proto/gen/containerd.services.tasks.v1.ts';
import type { TransferService } from '../proto/gen/containerd.services.transfer.v1.ts';
import type { VersionService } from '../proto/gen/containerd.services.version.v1.ts';
import type { ServiceClient } from './calls.ts';

export interface Services {
  readonly containers: ServiceClient<ContainersService>;
  readonly content: ServiceClient<ContentService>;
  /** davit's own. */
  readonly daemon: ServiceClient<DaemonService>;
  readonly diff: ServiceClient<DiffService>;
  readonly events: ServiceClient<EventsService>;
  readonly images: ServiceClient<ImagesService>;
  readonly introspection: ServiceClient<IntrospectionService>;
  readonly leases: ServiceClient<LeasesService>;
  readonly mounts: ServiceClient<MountsService>;
  readonly namespaces: ServiceClient<NamespacesService>;
  readonly sandboxStore: ServiceClient<StoreService>;
  readonly sandboxController: ServiceClient<ControllerService>;
  readonly snapshots: ServiceClient<SnapshotsService>;
  readonly streaming: ServiceClient<StreamingService>;
  readonly tasks: ServiceClient<TasksService>;
  readonly transfer: ServiceClient<TransferService>;
  readonly version: ServiceClient<VersionService>;
}

export const SERVICE_NAMES: Readonly<Record<keyof Services, string>> = {
  containers: 'containerd.services.containers.v1.Containers',
  content: 'containerd.services.content.v1.Content',
  daemon: 'davit.services.daemon.v1.Daemon',
  diff: 'containerd.services.diff.v1.Diff',
  events: 'containerd.services.events.v1.Events',
  images: 'containerd.services.images.v1.Images',
  introspection: 'containerd.services.introspection.v1.Introspection',
  leases: 'containerd.services.leases.v1.Leases',
  mounts: 'containerd.services.mounts.v1.Mounts',
  namespaces: 'containerd.services.namespaces.v1.Namespaces',
  sandboxStore: 'containerd.services.sandbox.v1.Store',
  sandboxController: 'containerd.services.sandbox.v1.Controller',
  snapshots: 'containerd.services.snapshots.v1.Snapshots',
  streaming: 'containerd.services.streaming.v1.Streaming',
  tasks: 'containerd.services.tasks.v1.Tasks',
  transfer: 'containerd.services.transfer.v1.Transfer',
  version: 'containerd.services.version.v1.Version',
};
