// The command line of davitd: containerd's own, so that it can stand where a containerd stood.
import { parseArgs } from 'node:util';
import { Failure } from '../lib/errors.ts';

export interface Arguments {
  readonly command: 'run' | 'help' | 'version' | 'config default' | 'config dump' | 'config migrate' | 'publish';
  readonly config: string | undefined;
  readonly address: string | undefined;
  readonly root: string | undefined;
  readonly state: string | undefined;
  readonly logLevel: string | undefined;
  /** publish only. */
  readonly topic: string | undefined;
  readonly namespace: string | undefined;
}

export const USAGE = `davitd - container supervisor

Usage:
  davitd [flags]                     run the daemon
  davitd [flags] config default      print the default configuration
  davitd [flags] config dump         print the configuration that would be used
  davitd [flags] config migrate      print the configuration file in the latest version
  davitd [flags] publish --topic T --namespace N
                                     publish the event on standard input (for shims)

Flags:
  -c, --config FILE      configuration file (default /etc/davit/config.toml)
  -a, --address SOCKET   socket to serve (default /run/davit/davit.sock)
      --root FOLDER      what survives a reboot (default /var/lib/davit)
      --state FOLDER     what does not (default /run/davit)
  -l, --log-level LEVEL  trace, debug, info, warn, error, fatal or panic
  -v, --version          print the version
  -h, --help             print this text
`;

const COMMANDS = new Set(['config default', 'config dump', 'config migrate', 'publish']);

/** Throws `invalid argument`, with what to do, for a line that cannot be used. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = read(argv);
  const words = positionals.join(' ');
  if (words !== '' && !COMMANDS.has(words)) {
    throw new Failure('invalid argument', `unknown command "${words}"; see davitd --help`);
  }
  const command = values.help
    ? 'help'
    : values.version
      ? 'version'
      : words === ''
        ? 'run'
        : (words as Arguments['command']);
  return {
    command,
    config: values.config,
    address: values.address,
    root: values.root,
    state: values.state,
    logLevel: values['log-level'],
    topic: values.topic,
    namespace: values.namespace,
  };
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({
      args: argv.map(longForm),
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        address: { type: 'string', short: 'a' },
        root: { type: 'string' },
        state: { type: 'string' },
        'log-level': { type: 'string', short: 'l' },
        topic: { type: 'string' },
        namespace: { type: 'string' },
        event: { type: 'string' },
        version: { type: 'boolean', short: 'v' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure('invalid argument', `${reason}; see davitd --help`, { cause: error });
  }
}

/** Go programs take `-address` for `--address`. */
function longForm(argument: string): string {
  return /^-[a-z][a-z-]+(=|$)/.test(argument) ? `-${argument}` : argument;
}
