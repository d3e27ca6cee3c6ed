// Credentials as `docker login` leaves them: in its configuration file, or with a helper program.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { ClientError } from '../errors.ts';

/** An empty user name means that the secret is an identity token. */
export interface Credentials {
  readonly username: string;
  readonly secret: string;
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, DockerAuth | undefined>>;
  readonly credHelpers?: Readonly<Record<string, string | undefined>>;
  readonly credsStore?: string;
}

interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

const HELPER_MS = 30_000;
const MAX_HELPER_OUTPUT = 64 * 1024;
/** What helpers say, with status 1, when they know nothing of a host. */
const UNKNOWN = /credentials not found/i;
const TOKEN_USER = '<token>';

/**
 * What Docker's configuration has for a host: its own helper, the general one, or the file itself.
 * Throws for a file that cannot be read and a helper that fails: silence would look like a wrong password.
 */
export async function dockerCredentials(
  host: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials | undefined> {
  const folder = environment['DOCKER_CONFIG'] || path.join(environment['HOME'] || homedir(), '.docker');
  const file = path.join(folder, 'config.json');
  const config = await readConfig(file);
  if (config === undefined) return undefined;
  const names = namesOf(host);
  for (const name of names) {
    const helper = config.credHelpers?.[name];
    if (helper) return await askHelper(helper, name, environment);
  }
  if (config.credsStore) {
    for (const name of names) {
      const found = await askHelper(config.credsStore, name, environment);
      if (found !== undefined) return found;
    }
  }
  for (const name of names) {
    const entry = config.auths?.[name];
    const found = entry === undefined ? undefined : decode(entry, file, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function readConfig(file: string): Promise<DockerConfig | undefined> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new ClientError('unknown', `${file}: ${error instanceof Error ? error.message : ''}`, { cause: error });
  }
  try {
    const parsed: unknown = JSON.parse(content);
    if (typeof parsed === 'object' && parsed !== null) return parsed;
  } catch (error) {
    throw new ClientError('invalid argument', `${file}: not JSON`, { cause: error });
  }
  throw new ClientError('invalid argument', `${file}: not an object`);
}

/** The keys under which a host may be kept, the plain name first. */
function namesOf(host: string): string[] {
  if (/^(registry-1\.|index\.)?docker\.io$/.test(host)) {
    return ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];
  }
  return [host, `https://${host}`, `http://${host}`, `https://${host}/v1/`, `https://${host}/v2/`];
}

function decode(entry: DockerAuth, file: string, name: string): Credentials | undefined {
  if (entry.identitytoken) return { username: '', secret: entry.identitytoken };
  if (entry.username) return { username: entry.username, secret: entry.password ?? '' };
  if (!entry.auth) return undefined;
  const plain = Buffer.from(entry.auth, 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  if (colon < 1) throw new ClientError('invalid argument', `${file}: auth of "${name}" is not user:password in base64`);
  return { username: plain.slice(0, colon), secret: plain.slice(colon + 1).replace(/\0+$/, '') };
}

async function askHelper(
  helper: string,
  host: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${helper}`;
  if (!/^[\w.-]+$/.test(helper)) throw new ClientError('invalid argument', `credential helper "${helper}": not a name`);
  const { code, output } = await run(program, host, environment);
  if (code !== 0 && UNKNOWN.test(output)) return undefined;
  if (code !== 0) throw new ClientError('unauthenticated', `${program} get: ${output.trim() || `status ${code}`}`);
  let answer: { readonly Username?: string; readonly Secret?: string };
  try {
    answer = JSON.parse(output) as typeof answer;
  } catch (error) {
    throw new ClientError('unauthenticated', `${program} get: its answer is not JSON`, { cause: error });
  }
  if (!answer.Secret) return undefined;
  return { username: answer.Username === TOKEN_USER ? '' : (answer.Username ?? ''), secret: answer.Secret };
}

async function run(
  program: string,
  input: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ code: number | string; output: string }> {
  const child = spawn(program, ['get'], {
    env: environment,
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: HELPER_MS,
  });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', (error) => reject(new ClientError('unauthenticated', `${program}: ${error.message}`)));
    child.once('close', (code, signal) => resolve(code ?? signal ?? ''));
  });
  // A helper that does not read its input says why by its status.
  child.stdin.on('error', () => undefined);
  child.stdin.end(`${input}\n`);
  const [code, output] = await Promise.all([ended, text(child.stdout)]);
  return { code, output: output.slice(0, MAX_HELPER_OUTPUT) };
}
