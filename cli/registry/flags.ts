// Flags of the commands that talk to registries, and what they come to.
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { dockerCredentials, type Credentials } from '../../client/images/credentials.ts';
import type { RegistryOptions } from '../../client/images/transfer.ts';
import { flag, type Values } from '../args/flags.ts';
import { MissingArgument, type Context } from '../command.ts';
import { untilInterrupted } from '../io/interrupt.ts';
import { askSecret } from './secret.ts';

export const registryFlags = {
  user: flag.string({
    alias: 'u',
    takes: 'user[:password]',
    help: 'who to be there; else as `docker login` left it in ~/.docker/config.json',
  }),
  refresh: flag.string({ help: 'an identity token, in place of a password' }),
  'plain-http': flag.switch({ help: 'no TLS; the default for this machine where https is not spoken' }),
  'skip-verify': flag.switch({ alias: 'k', help: 'accept any certificate' }),
  'hosts-dir': flag.string({ takes: 'dir', help: "folder of hosts.toml files, in place of the daemon's" }),
  tlscacert: flag.string({ takes: 'file', help: 'authority that signed the registry certificate' }),
  tlscert: flag.string({ takes: 'file', help: 'certificate to show to the registry' }),
  tlskey: flag.string({ takes: 'file', help: 'key of that certificate' }),
};

/** Runs `work` with the registry that reference and flags describe, until it is interrupted. */
export async function withRegistry(
  context: Context,
  reference: string,
  flags: Values<typeof registryFlags>,
  work: (registry: RegistryOptions, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const given = await givenCredentials(flags);
  const host = reference.slice(0, reference.indexOf('/'));
  await untilInterrupted(async (signal) => {
    const own = await temporaryHosts(host, flags);
    const registry: RegistryOptions = {
      reference,
      hostsFolder: own ?? (flags['hosts-dir'] === undefined ? undefined : path.resolve(flags['hosts-dir'])),
      plainHttp: flags['plain-http'],
      // What was written on the command line is for the registry, not for its mirrors.
      credentials: (asked) =>
        given !== undefined && apiHost(host) === asked ? Promise.resolve(given) : dockerCredentials(asked, context.env),
    };
    try {
      await work(registry, signal);
    } finally {
      if (own !== undefined) await rm(own, { recursive: true, force: true });
    }
  });
}

function apiHost(host: string): string {
  return host === 'docker.io' ? 'registry-1.docker.io' : host;
}

async function givenCredentials(flags: Values<typeof registryFlags>): Promise<Credentials | undefined> {
  if (flags.refresh !== undefined) return { username: '', secret: flags.refresh };
  if (flags.user === undefined) return undefined;
  const colon = flags.user.indexOf(':');
  if (colon >= 0) return { username: flags.user.slice(0, colon), secret: flags.user.slice(colon + 1) };
  return { username: flags.user, secret: await askSecret(`password of ${flags.user}: `) };
}

/** TLS that only this command asks for, in the form in which the daemon reads it. */
async function temporaryHosts(host: string, flags: Values<typeof registryFlags>): Promise<string | undefined> {
  const { tlscacert: ca, tlscert: cert, tlskey: key } = flags;
  if (ca === undefined && cert === undefined && key === undefined && !flags['skip-verify']) return undefined;
  if (flags['hosts-dir'] !== undefined) {
    throw new MissingArgument('--hosts-dir says all about TLS; it cannot be used with the other TLS flags');
  }
  if ((cert === undefined) !== (key === undefined)) throw new MissingArgument('--tlscert and --tlskey go together');
  const folder = await mkdtemp(path.join(tmpdir(), 'davit-hosts-'));
  const place = path.join(folder, host.replace(/:(\d+)$/, '_$1_'));
  await mkdir(place);
  const quoted = (file: string): string => JSON.stringify(path.resolve(file));
  const lines = [
    `server = ${JSON.stringify(`${flags['plain-http'] ? 'http' : 'https'}://${apiHost(host)}`)}`,
    ...(flags['skip-verify'] ? ['skip_verify = true'] : []),
    ...(ca === undefined ? [] : [`ca = ${quoted(ca)}`]),
    ...(cert === undefined || key === undefined ? [] : [`client = [[${quoted(cert)}, ${quoted(key)}]]`]),
  ];
  await writeFile(path.join(place, 'hosts.toml'), `${lines.join('\n')}\n`);
  return folder;
}
