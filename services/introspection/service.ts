import { stat } from 'node:fs/promises';
import { findCodec } from '../../proto/messages.ts';
import {
  IntrospectionName,
  type IntrospectionService,
  type Plugin as Wire,
} from '../../proto/gen/containerd.services.introspection.v1.ts';
import type { Platform } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import type { Input } from '../../proto/rpc.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { codeOf } from '../lib/codes.ts';
import { Failure, kindOf } from '../lib/errors.ts';
import { parseFilters } from '../lib/filters.ts';
import type { Plugin } from './api.ts';

export interface IntrospectionDeps {
  /** Asked once, when everything is there. */
  readonly plugins: () => readonly Plugin[];
  /** The daemon's identity, kept in its root. */
  readonly uuid: string;
}

export function createIntrospectionService({ plugins, uuid }: IntrospectionDeps): Registration {
  return registration<IntrospectionService>(IntrospectionName, {
    Plugins({ filters }) {
      const matches = parseFilters(filters);
      const found = plugins().filter(({ type, id }) =>
        matches(([field]) => (field === 'type' ? type : field === 'id' ? id : undefined)),
      );
      return { plugins: found.map(toWire) };
    },

    async Server() {
      const { ino } = await stat('/proc/self/ns/pid', { bigint: true });
      return { uuid, pid: String(process.pid), pidns: ino.toString(), deprecations: [] };
    },

    async PluginInfo({ type, id, options }) {
      if (options !== null) known(options);
      const plugin = plugins().find((candidate) => candidate.type === type && candidate.id === id);
      if (plugin === undefined) throw new Failure('not found', `plugin ${type}.${id} not found: not found`);
      if (options === null) return { plugin: toWire(plugin) };
      if (plugin.initError !== undefined) {
        throw new Failure(
          'failed precondition',
          'cannot get extra info, plugin not successfully loaded: failed precondition',
        );
      }
      if (plugin.info === undefined) {
        throw new Failure('not implemented', 'plugin does not provided extra information: not implemented');
      }
      return { plugin: toWire(plugin), extra: await plugin.info(options) };
    },
  });
}

function known({ type_url }: Any): void {
  if (findCodec(type_url) === undefined) {
    throw new Failure('not found', `failed to unmarshal plugin info Options: type with url ${type_url}: not found`);
  }
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };
const PLATFORM: Input<Platform> = { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch };

function toWire({ type, id, requires, platform, exports, capabilities, initError }: Plugin): Input<Wire> {
  return {
    type,
    id,
    requires,
    platforms: platform ? [PLATFORM] : [],
    exports,
    capabilities,
    init_err:
      initError === undefined ? null : { code: codeOf(kindOf(initError) ?? 'unknown'), message: initError.message },
  };
}
