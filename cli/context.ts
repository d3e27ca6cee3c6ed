// The Context of one invocation.
import type { Client } from '../client/connect.ts';
import { flag, type Values } from './args/flags.ts';
import type { Context } from './command.ts';
import { print } from './io/output.ts';

export const DEFAULT_ADDRESS = '/run/davit/davit.sock';

export const globalFlags = {
  address: flag.stringOr(DEFAULT_ADDRESS, {
    alias: 'a',
    help: "the daemon's socket, or host:port",
    env: ['DAVIT_ADDRESS', 'CONTAINERD_ADDRESS'],
  }),
  namespace: flag.stringOr('default', { alias: 'n', help: 'namespace to work in', env: ['CONTAINERD_NAMESPACE'] }),
  timeout: flag.duration(0, { help: 'time limit of the whole command; 0 for none' }),
  'connect-timeout': flag.duration(0, { help: 'time limit for reaching the daemon; 0 tries once' }),
  debug: flag.switch({ help: 'show the stack and the causes of errors' }),
  help: flag.switch({ alias: 'h', help: 'show help' }),
  version: flag.switch({ alias: 'v', help: 'print the version' }),
};

export interface OwnedContext extends Context {
  close(): Promise<void>;
}

export function createContext(globals: Values<typeof globalFlags>, env: NodeJS.ProcessEnv): OwnedContext {
  let connected: Promise<Client> | undefined;
  const connectNow = async (): Promise<Client> => {
    const { connect } = await import('../client/connect.ts');
    const client = connect(globals.address, {
      namespace: globals.namespace,
      ...(globals.timeout > 0 ? { signal: AbortSignal.timeout(globals.timeout) } : {}),
    });
    if (globals['connect-timeout'] > 0) await client.ready(globals['connect-timeout']);
    return client;
  };
  return {
    client: () => (connected ??= connectNow()),
    address: globals.address,
    namespace: globals.namespace,
    debug: globals.debug,
    env,
    print: (text) => print(1, text),
    note: (text) => print(2, text),
    async close() {
      (await connected?.catch(() => undefined))?.close();
    },
  };
}
