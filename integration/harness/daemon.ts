// A daemon under test in a folder of its own: davitd as it was built, or Debian's containerd.
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../client/connect.ts';
import { REPOSITORY, targetOf, type Target } from './target.ts';

const READY_MS = 20_000;
const STOP_MS = 20_000;

export interface DaemonOptions {
  readonly target?: Target;
  /** Appended to the daemon's TOML configuration. */
  readonly config?: string;
  readonly logLevel?: string;
  /** Where its folder is made; short, because socket paths are. */
  readonly parent?: string | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where its root and its state are, when not in its folder. */
  readonly root?: string;
  readonly state?: string;
  /** Words before the daemon's own command: a program that executes what follows. */
  readonly wrapper?: readonly string[];
}

export interface Daemon {
  readonly target: Target;
  readonly address: string;
  readonly directory: string;
  readonly root: string;
  readonly state: string;
  /** Of the process that runs now; undefined while it is down, or when it is not ours. */
  readonly pid: number | undefined;
  /** Resolves when it answers; gives the milliseconds that took. `environment` is for this start only. */
  start(environment?: Readonly<Record<string, string>>): Promise<number>;
  /** Starts it, and waits for nothing. */
  launch(environment?: Readonly<Record<string, string>>): void;
  /** Resolves when it has ended by itself. */
  ended(): Promise<void>;
  /** SIGTERM, and waits for its end. Rejects when it does not end by itself. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  log(): string;
  /** Removes its folder. It must be down. */
  remove(): void;
}

function containerdConfig(root: string, state: string, address: string): string {
  return [
    'version = 2',
    `root = ${JSON.stringify(root)}`,
    `state = ${JSON.stringify(state)}`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `  address = ${JSON.stringify(address)}`,
    '[ttrpc]',
    `  address = ${JSON.stringify(`${address}.ttrpc`)}`,
    '',
  ].join('\n');
}

/** DAVIT_TEST_SHIM: a foreign shim for davitd to drive in place of its own. */
function shimConfig(target: Target): string {
  const shim = process.env['DAVIT_TEST_SHIM'];
  if (target !== 'davit' || shim === undefined || shim === '') return '';
  return `\n[plugins."io.davit.runtime.v1"]\nshim = ${JSON.stringify(shim)}\n`;
}

/** A daemon that is not started yet. */
export function createDaemon(options: DaemonOptions = {}): Daemon {
  const target = options.target ?? targetOf(process.env);
  const directory = mkdtempSync(path.join(options.parent ?? '/tmp', 'davit-test-'));
  const root = options.root ?? path.join(directory, 'root');
  const state = options.state ?? path.join(directory, 'state');
  const address = path.join(directory, 'd.sock');
  const logFile = path.join(directory, 'daemon.log');
  const configFile = path.join(directory, 'config.toml');
  const extra = (options.config ?? '') + shimConfig(target);
  // Containers in a user namespace are to reach their root file system below.
  chmodSync(directory, 0o711);
  mkdirSync(root, { recursive: true });
  mkdirSync(state, { recursive: true });
  writeFileSync(
    configFile,
    target === 'containerd' ? containerdConfig(root, state, address) + extra : `version = 3\n${extra}`,
  );

  const level = options.logLevel ?? process.env['DAVIT_TEST_LOG'] ?? 'warn';
  const program =
    target === 'containerd'
      ? ['containerd', '--config', configFile, '--log-level', level]
      : [
          path.join(REPOSITORY, 'bin/davitd'),
          '--config',
          configFile,
          '--address',
          address,
          '--root',
          root,
          '--state',
          state,
          '--log-level',
          level,
        ];
  const command = [...(options.wrapper ?? []), ...program];
  const environment = {
    ...process.env,
    // Shims are found in PATH by either daemon.
    PATH: [path.join(REPOSITORY, 'bin'), process.env['DAVIT_TEST_CONTAINERD'], process.env['PATH']]
      .filter((part) => part !== undefined && part !== '')
      .join(':'),
    ...options.environment,
  };

  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();

  function launch(further: Readonly<Record<string, string>> = {}): void {
    if (child !== undefined) throw new Error('the daemon runs already');
    const log = openSync(logFile, 'a');
    // A group of its own: an interrupt key meant for the test run must not reach it.
    const started = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...environment, ...further },
    });
    closeSync(log);
    child = started;
    // A test run that ends early must not leave its daemon behind.
    const abandon = (): void => void started.kill('SIGKILL');
    process.once('exit', abandon);
    ended = new Promise((resolve) => {
      const done = (): void => {
        process.off('exit', abandon);
        if (child === started) child = undefined;
        resolve();
      };
      started.once('exit', done);
      started.once('error', done);
    });
  }

  async function down(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined) return;
    const stopping = child;
    stopping.kill(signal);
    const late = await Promise.race([ended.then(() => false), sleep(STOP_MS, true, { ref: false })]);
    if (!late) return;
    stopping.kill('SIGKILL');
    await ended;
    throw new Error(`daemon ${String(stopping.pid)} did not end within ${STOP_MS} ms after ${signal}`);
  }

  return {
    target,
    address,
    directory,
    root,
    state,
    get pid() {
      return child?.pid;
    },
    launch,
    async start(further) {
      const began = performance.now();
      launch(further);
      await waitForReady(address, () => child !== undefined);
      return performance.now() - began;
    },
    ended: () => ended,
    stop: () => down('SIGTERM'),
    kill: () => down('SIGKILL'),
    log: () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A daemon that somebody else runs: it cannot be started or stopped from here. */
export function externalDaemon(address: string): Daemon {
  const refuse = (): never => {
    throw new Error(`the daemon at ${address} is not ours to start or stop`);
  };
  const directory = path.dirname(address);
  return {
    target: targetOf(process.env),
    address,
    directory,
    root: directory,
    state: directory,
    pid: undefined,
    start: () => waitForReady(address, () => true).then(() => 0),
    launch: refuse,
    ended: refuse,
    stop: () => Promise.resolve(),
    kill: refuse,
    log: () => '',
    remove: () => undefined,
  };
}

/**
 * Whether somebody accepts connections. A gRPC client that failed to connect would try again later,
 * even when it is closed by then: it is not to be made before.
 */
export function listens(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(address);
    const done = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', done(true));
    socket.once('error', done(false));
  });
}

/** Resolves when the daemon answers a call; rejects when it died or stays silent. */
async function waitForReady(address: string, alive: () => boolean): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    if (!alive()) throw new Error('the daemon ended while starting');
    if (await listens(address)) {
      using client = connect(address);
      try {
        await client.version.Version({}, { timeout: 2000 });
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
    }
    if (performance.now() > deadline) throw new Error(`the daemon did not listen within ${READY_MS} ms`);
    await sleep(5);
  }
}
