// Version: who answers.
import { VersionName, type VersionService } from '../../proto/gen/containerd.services.version.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';

export interface BuildInfo {
  readonly version: string;
  /** Commit, empty when unknown. */
  readonly revision: string;
}

export function createVersionService(build: BuildInfo): Registration {
  return registration<VersionService>(VersionName, {
    Version: () => ({ version: build.version, revision: build.revision }),
  });
}
