// What a shim's program is run for: `start` a shim, `delete` what a lost one left, tell about itself.
import path from 'node:path';
import { codec } from '../../proto/messages.ts';
import type { BootstrapParams } from '../../proto/gen/containerd.runtime.bootstrap.v1.ts';
import type { DeleteResponse } from '../../proto/gen/containerd.task.v2.ts';
import type { RuntimeInfo } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { Failure } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { parseAnswer, type Endpoint } from './answer.ts';
import type { Exit } from './api.ts';
import type { Bundle } from './bundle.ts';
import type { Outcome, RunProgram } from './program.ts';
import type { Shim } from './resolve.ts';

export interface ActionsDeps {
  readonly log: Logger;
  readonly run: RunProgram;
  /** As the addon's function of this name. */
  readonly endProcesses: (program: string, words: readonly string[], timeoutMs: number) => Promise<readonly number[]>;
  /** The daemon's sockets, which shims send events to. */
  readonly grpcAddress: string;
  readonly ttrpcAddress: string;
  /** The daemon's own program, for shims that publish through it. */
  readonly self: string;
  readonly version: string;
  /** Where shims that can be told put their sockets. */
  readonly socketFolder: string;
  readonly debug: boolean;
  /** Added to the shims' environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds for one run of the `delete` action. */
  readonly cleanupTimeout: number;
}

export interface Actions {
  /** Starts a shim in its bundle; resolves when it listens. */
  start(shim: Shim, bundle: Bundle, options: Any | null): Promise<Endpoint>;
  /** Kills and removes whatever is left of a container whose shim is gone. */
  delete(shim: Shim, bundle: Bundle): Promise<Exit>;
  /** Ends the shim of a bundle that cannot be asked to, whether it is known where it listens or not; its pids. */
  end(shim: Shim, bundle: Bundle): Promise<readonly number[]>;
  info(shim: Shim, options: Any | null): Promise<RuntimeInfo>;
}

const anys = codec<Any>('google.protobuf.Any');
const bootstrapParams = codec<BootstrapParams>('containerd.runtime.bootstrap.v1.BootstrapParams');
const deleteResponses = codec<DeleteResponse>('containerd.task.v2.DeleteResponse');
const runtimeInfos = codec<RuntimeInfo>('containerd.types.RuntimeInfo');

/** Bounds what no client waits for in vain; a start on a busy machine takes seconds, not minutes. */
const START_TIMEOUT = 60_000;
const INFO_TIMEOUT = 10_000;

export function createActions(deps: ActionsDeps): Actions {
  const inherited = { ...process.env, ...deps.env };
  const takesBootstrap = new Map<string, Promise<boolean>>();

  const run = (
    shim: Shim,
    bundle: Bundle,
    action: 'start' | 'delete',
    input: Uint8Array | undefined,
    timeoutMs: number,
  ): Promise<Outcome> => {
    const flags = [
      '-namespace',
      bundle.namespace,
      '-address',
      deps.grpcAddress,
      '-publish-binary',
      deps.self,
      '-id',
      bundle.id,
    ];
    if (action === 'delete') flags.push('-bundle', bundle.path);
    if (deps.debug) flags.push('-debug');
    return deps.run({
      file: shim.path,
      args: [...flags, action],
      cwd: bundle.path,
      env: {
        ...inherited,
        GOMAXPROCS: '2',
        MAX_SHIM_VERSION: '2',
        TTRPC_ADDRESS: deps.ttrpcAddress,
        GRPC_ADDRESS: deps.grpcAddress,
        NAMESPACE: bundle.namespace,
        ...(shim.own ? { DAVIT_SOCKET_DIR: deps.socketFolder } : {}),
      },
      ...(input === undefined ? {} : { input }),
      timeoutMs,
    });
  };

  const startInput = async (shim: Shim, bundle: Bundle, options: Any | null): Promise<Uint8Array | undefined> => {
    if (shim.own || (await speaksBootstrap(shim))) return bootstrapParams.encode(params(bundle, options));
    return options === null ? undefined : anys.encode(options);
  };

  /** Shims built with containerd 2.3 or later refuse what older ones take, and the other way round. */
  const speaksBootstrap = (shim: Shim): Promise<boolean> => {
    let known = takesBootstrap.get(shim.path);
    if (known === undefined) {
      known = deps.run({ file: shim.path, args: ['-v'], env: inherited, timeoutMs: INFO_TIMEOUT }).then(
        ({ stdout }) => isSince23(stdout.toString('utf8')),
        () => false,
      );
      takesBootstrap.set(shim.path, known);
    }
    return known;
  };

  const params = (bundle: Bundle, options: Any | null) => ({
    instance_id: bundle.id,
    namespace: bundle.namespace,
    log_level: deps.debug ? -4 : 0,
    containerd_version: deps.version,
    containerd_grpc_address: deps.grpcAddress,
    containerd_ttrpc_address: deps.ttrpcAddress,
    containerd_binary: deps.self,
    socket_dir: deps.socketFolder,
    extensions: options === null ? [] : [{ value: options }],
  });

  return {
    async start(shim, bundle, options) {
      const outcome = await run(shim, bundle, 'start', await startInput(shim, bundle, options), START_TIMEOUT);
      if (outcome.code !== 0 || outcome.signal !== 0) throw failed(shim, outcome);
      if (outcome.stdout.length === 0) return parseAnswer(outcome.stderr);
      if (outcome.stderr.length > 0) {
        const { namespace, id } = bundle;
        deps.log.warn('shim', { namespace, id, line: outcome.stderr.toString('utf8').trim() });
      }
      return parseAnswer(outcome.stdout);
    },

    async delete(shim, bundle) {
      const outcome = await run(shim, bundle, 'delete', undefined, deps.cleanupTimeout);
      if (outcome.code !== 0 || outcome.signal !== 0) throw failed(shim, outcome);
      const { pid, exit_status, exited_at } = deleteResponses.decode(outcome.stdout);
      return { pid, status: exit_status, exitedAt: exited_at };
    },

    end(shim, { namespace, id }) {
      const words = ['-namespace', namespace, '-id', id, '-address', deps.grpcAddress];
      return deps.endProcesses(path.basename(shim.path), words, deps.cleanupTimeout);
    },

    async info(shim, options) {
      const input = options === null ? new Uint8Array() : anys.encode(options);
      const outcome = await deps.run({
        file: shim.path,
        args: ['-info'],
        env: inherited,
        input,
        timeoutMs: INFO_TIMEOUT,
      });
      if (outcome.code !== 0 || outcome.signal !== 0) throw failed(shim, outcome);
      return runtimeInfos.decode(outcome.stdout);
    },
  };
}

/** `<program>:\n  Version:  v2.3.4\n...`, as containerd's library for shims prints it. */
function isSince23(text: string): boolean {
  const match = /^\s*Version:\s*v?(\d+)\.(\d+)/m.exec(text);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 2 || (major === 2 && minor >= 3);
}

function failed(shim: Shim, { code, signal, stdout, stderr }: Outcome): Failure {
  const end = signal !== 0 ? `signal ${signal}` : `exit status ${code}`;
  const said = Buffer.concat([stderr, stdout]).toString('utf8').trim();
  return new Failure('unknown', `${said === '' ? path.basename(shim.path) : said}: ${end}`);
}
