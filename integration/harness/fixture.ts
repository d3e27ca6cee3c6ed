// One daemon for a suite: started before, emptied, checked for leftovers and stopped after.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, before } from 'mocha';
import { connect, type Client } from '../../client/connect.ts';
import { emptyNamespace } from './cleanup.ts';
import { createDaemon, externalDaemon, type Daemon, type DaemonOptions } from './daemon.ts';
import { baseline, leftovers, removeNamespaceCgroups, sweep, type Baseline, type Scope } from './leftovers.ts';
import { addressOf, targetOf, type Target } from './target.ts';

/** Time for what a delete starts but does not wait for. */
const SETTLE_MS = 5000;
const LOG_LINES = 80;

export interface Fixture {
  readonly daemon: Daemon;
  readonly target: Target;
  /** In a namespace that is the suite's own. After a restart it is another one. */
  readonly client: Client;
  /** A client in one more namespace of the suite's own. */
  inNewNamespace(): Client;
  /** A second connection, in the suite's namespace. */
  newConnection(): Client;
  /**
   * Ends the daemon, does `meanwhile`, and starts it again, with `environment` for this time; gives the
   * milliseconds until it answered.
   */
  restart(
    how: 'stop' | 'kill',
    meanwhile?: () => Promise<void>,
    environment?: Readonly<Record<string, string>>,
  ): Promise<number>;
}

export interface FixtureOptions extends DaemonOptions {
  /** Why containerd 1.6 leaves something behind here: on it, leftovers are then removed and printed, no failure. */
  readonly leftByContainerd?: string;
}

/** Registers the hooks; the fixture may be used from within tests and hooks only. */
export function useDaemon(options: FixtureOptions = {}): Fixture {
  const target = options.target ?? targetOf(process.env);
  const namespaces: string[] = [];
  const connections: Client[] = [];
  let daemon: Daemon | undefined;
  let client: Client | undefined;
  let known: Baseline | undefined;
  let failed = false;

  const running = (): Daemon => {
    if (daemon === undefined) throw new Error('no daemon before the hooks ran');
    return daemon;
  };
  const addNamespace = (): string => {
    const namespace = `t-${randomBytes(5).toString('hex')}`;
    namespaces.push(namespace);
    return namespace;
  };
  const scope = (): Scope => ({
    target,
    directory: running().directory,
    state: running().state,
    namespaces,
    pid: running().pid,
  });
  const open = (namespace: string): Client => {
    const made = connect(running().address, { namespace });
    connections.push(made);
    return made;
  };

  before('start the daemon', async function () {
    this.timeout(30_000);
    const address = addressOf(process.env);
    daemon = address === undefined ? createDaemon(options) : externalDaemon(address);
    await daemon.start();
    client = open(addNamespace());
    await client.namespaces.List({});
    known = baseline(scope());
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') failed = true;
  });

  after('leave nothing behind', async function () {
    this.timeout(90_000);
    if (daemon === undefined) return;
    const problems: string[] = [];
    try {
      if (client !== undefined)
        for (const namespace of namespaces) problems.push(...(await emptyNamespace(client.with({ namespace }))));
      for (const connection of connections) connection.close();
      if (known !== undefined) problems.push(...(await settled(scope(), known)));
      await daemon.stop();
      if (addressOf(process.env) === undefined && known !== undefined) {
        problems.push(...(await settled({ ...scope(), pid: undefined }, { ...known, descriptors: [] })));
      }
    } catch (error) {
      problems.push(String(error));
      if (addressOf(process.env) === undefined) await daemon.kill();
    }
    if (problems.length > 0) sweep({ ...scope(), pid: undefined });
    removeNamespaceCgroups(namespaces);
    if (failed || problems.length > 0) printLog(daemon);
    daemon.remove();
    if (problems.length === 0) return;
    const list = [...new Set(problems)].join('\n  ');
    if (target === 'davit' || options.leftByContainerd === undefined) throw new Error(`left behind:\n  ${list}`);
    process.stdout.write(`    davit only: leaves nothing behind: ${options.leftByContainerd}:\n  ${list}\n`);
  });

  return {
    target,
    get daemon() {
      return running();
    },
    get client() {
      if (client === undefined) throw new Error('no client before the hooks ran');
      return client;
    },
    inNewNamespace: () => open(addNamespace()),
    newConnection: () => open(namespaces[0] ?? ''),
    async restart(how, meanwhile, environment) {
      await running()[how]();
      await meanwhile?.();
      const milliseconds = await running().start(environment);
      // A connection that lost its daemon waits before it tries again: take a new one.
      client?.close();
      client = open(namespaces[0] ?? '');
      return milliseconds;
    },
  };
}

/** What is left when nothing more changes, or the time is up. */
async function settled(scope: Scope, known: Baseline): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const found = leftovers(scope, known);
    if (found.length === 0 || performance.now() > deadline) return found;
    await sleep(100);
  }
}

function printLog(daemon: Daemon): void {
  const lines = daemon.log().trimEnd().split('\n').slice(-LOG_LINES);
  process.stdout.write(`--- last lines of the daemon's log\n${lines.join('\n')}\n---\n`);
}
