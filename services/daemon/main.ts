// davitd: arguments in, one daemon running, signals to its end.
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { Failure } from '../lib/errors.ts';
import { createLogger, isLevel, type Log, type Logger } from '../lib/log.ts';
import { USAGE, parseArguments, type Arguments } from './arguments.ts';
import { BUILD } from './build.ts';
import { startDaemon, type ComposeDeps } from './compose.ts';
import { publish } from './compose/publish.ts';
import { ttrpcAddressOf } from './compose/runtime.ts';
import { formatConfig, loadConfig } from './config.ts';
import { defaults, type Config } from './defaults.ts';

const DEFAULT_CONFIG = '/etc/davit/config.toml';
/** Milliseconds that the first clients have for themselves. */
const FIRST_CLIENTS = 200;
/** Young objects keep one megabyte: V8 gives them up to sixteen under load, for less than can be measured in speed. */
const SPARING = '--semi-space-growth-factor=1';
/**
 * All is collected when there is three and a half times what was left the last time. V8 itself takes 1.3 to four times,
 * less the faster memory is asked for: a collection after every 20 MB of a download, and 50 MB of garbage after many
 * small calls.
 */
const EVEN = '--heap-growing-percent=250';
const SILENT: ComposeDeps['observer'] = {
  finished: () => undefined,
  collected: () => undefined,
  applied: () => undefined,
};

/** `started` is called when the daemon serves. scripts/bundle-daemon.mjs runs it to see what of the program is used. */
export async function main(argv: readonly string[], started = (): void => undefined): Promise<void> {
  const args = parseArguments(argv);
  switch (args.command) {
    case 'help':
      process.stdout.write(USAGE);
      return;
    case 'version':
      process.stdout.write(`davitd github.com/davit/davit ${BUILD.version} ${BUILD.revision}\n`);
      return;
    case 'config default':
      process.stdout.write(await formatConfig(defaults()));
      return;
    case 'config dump':
    case 'config migrate':
      process.stdout.write(await formatConfig(await configuration(args)));
      return;
    case 'publish':
      await publish(ttrpcAddressOf(await configuration(args)), args.namespace, args.topic);
      return;
    case 'run':
      await run(await configuration(args), started);
  }
}

function configuration(args: Arguments): Promise<Config> {
  return loadConfig(args.config, DEFAULT_CONFIG, args);
}

async function run(config: Config, started: () => void): Promise<void> {
  // Whoever started the daemon must not decide the modes in containers' root file systems.
  process.umask(0o022);
  const log = logger(config);
  try {
    await serve(config, log, started);
  } finally {
    await log.open();
  }
  log.info('stopped');
}

async function serve(config: Config, log: Log, started: () => void): Promise<void> {
  const stopped = stopSignal();
  if (config.oom_score !== 0) await setOomScore(config.oom_score, log);
  const { root, state } = config;
  log.info('starting davitd', { version: BUILD.version, revision: BUILD.revision, root, state });
  const metrics =
    config.metrics.address === ''
      ? undefined
      : await (await import('./metrics.ts')).serveMetrics(config.metrics.address, config.metrics.grpc_histogram, BUILD);
  const daemon = await startDaemon(config, { log, build: BUILD, observer: metrics?.observer ?? SILENT });
  metrics?.watch(daemon.taskMetrics);
  if (metrics !== undefined) log.info('metrics are served', { port: metrics.port });
  log.info('davitd successfully booted', {
    address: config.grpc.address,
    seconds: Math.round(performance.now()) / 1000,
  });
  // Those who waited for the daemon come first.
  await Promise.race([stopped, sleep(FIRST_CLIENTS)]);
  started();
  await log.open();
  log.info('stopping', { signal: await stopped });
  await daemon.stop();
  await metrics?.close();
}

function logger(config: Config): Log {
  const level = config.debug.level === '' ? 'info' : config.debug.level;
  if (!isLevel(level))
    throw new Failure(
      'invalid argument',
      `log level "${level}" is not one of trace, debug, info, warn, error, fatal, panic`,
    );
  const format = config.debug.format === 'json' ? 'json' : 'text';
  return createLogger({ level, format, stream: process.stderr });
}

/** Resolves with the first signal to stop; a second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let seen = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (seen) process.exit(1);
        seen = true;
        resolve(signal);
      });
    }
    process.on('SIGHUP', () => undefined);
    process.on('SIGPIPE', () => undefined);
  });
}

async function setOomScore(score: number, log: Logger): Promise<void> {
  try {
    await writeFile('/proc/self/oom_score_adj', String(score));
  } catch (error) {
    log.warn('oom_score cannot be set, ignoring (lowering it needs CAP_SYS_RESOURCE)', { oom_score: score, error });
  }
}

/** Runs the program `davitd` and ends the process. */
export async function start(): Promise<void> {
  try {
    // Not on V8's command line: see scripts/program.mjs.
    await main(process.argv.slice(2), () => {
      setFlagsFromString(SPARING);
      setFlagsFromString(EVEN);
    });
    process.exit(0);
  } catch (error) {
    const text =
      error instanceof Failure
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    process.stderr.write(`davitd: ${text}\n`);
    process.exit(1);
  }
}
