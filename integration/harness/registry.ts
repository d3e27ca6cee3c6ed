// Registries to pull from and push to: Debian's docker-registry on loopback, and what stands between
// it and a daemon.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestImage } from './image.ts';

export interface TestRegistry {
  /** `127.0.0.1:5000`. */
  readonly host: string;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** Where blobs are; registries may share it. */
  readonly folder: string;
  readonly tls?: Certificate;
  /** With TLS: a certificate that clients' own must be signed by. */
  readonly clientAuthority?: string;
  /** The user alice with the password `secret`. */
  readonly basic?: boolean;
  /** Tokens from this realm, signed by this certificate's key. */
  readonly token?: { readonly realm: string; readonly signer: Certificate };
}

export const USER = { username: 'alice', secret: 'secret' };
/** bcrypt of `secret`. */
const HTPASSWD = 'alice:$2b$04$RsDf1Ax0Wme8Fc/7pmyCj.qDUyopAzXdyXy9OykilZQmiM0iA2wLe\n';
const READY_MS = 10_000;

export async function startRegistry({
  folder,
  tls,
  clientAuthority,
  basic,
  token,
}: RegistryOptions): Promise<TestRegistry> {
  const port = await freePort();
  const place = mkdtempSync('/tmp/davit-registry-');
  writeFileSync(path.join(place, 'htpasswd'), HTPASSWD);
  const auth = basic
    ? { htpasswd: { realm: 'test', path: path.join(place, 'htpasswd') } }
    : token && {
        token: { realm: token.realm, service: 'registry', issuer: 'test', rootcertbundle: token.signer.cert },
      };
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: folder }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(tls ? { tls: { certificate: tls.cert, key: tls.key, clientcas: clientAuthority && [clientAuthority] } } : {}),
    },
    ...(auth ? { auth } : {}),
  };
  // JSON is YAML.
  writeFileSync(path.join(place, 'config.yml'), JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', path.join(place, 'config.yml')], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const host = `127.0.0.1:${port}`;
  const deadline = Date.now() + READY_MS;
  while (!(await listens(port))) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`docker-registry did not start on ${host}`);
    await sleep(20);
  }
  return {
    host,
    async stop() {
      child.kill();
      await ended;
      rmSync(place, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Puts an image into a registry that asks for nothing. */
export async function seed(host: string, repository: string, tag: string, image: TestImage): Promise<void> {
  const base = `http://${host}/v2/${repository}`;
  for (const [digest, bytes] of image.blobs) {
    if (digest !== image.manifest.digest) await putBlob(base, digest, bytes);
  }
  const manifest = image.blobs.get(image.manifest.digest) ?? Buffer.alloc(0);
  await putManifest(base, tag, image.manifest.mediaType, manifest);
}

async function putBlob(base: string, digest: string, bytes: Buffer): Promise<void> {
  const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', base);
  location.searchParams.set('digest', digest);
  const done = await fetch(location, { method: 'PUT', body: new Uint8Array(bytes) });
  if (done.status !== 201) throw new Error(`PUT blob ${digest}: ${done.status} ${await done.text()}`);
}

export async function putManifest(base: string, name: string, type: string, bytes: Buffer): Promise<void> {
  const headers = { 'content-type': type };
  const done = await fetch(`${base}/manifests/${name}`, { method: 'PUT', headers, body: new Uint8Array(bytes) });
  if (done.status !== 201) throw new Error(`PUT manifest ${name}: ${done.status} ${await done.text()}`);
}

/** A TCP proxy that sees what passes, and cuts or slows it. */
export interface Wire {
  readonly host: string;
  /** `GET /v2/...`, with the range asked for. */
  readonly requests: readonly string[];
  /** From the server. */
  readonly bytes: number;
  /** Cuts the next so many connections that brought this much. */
  cut(times: number, after: number): void;
  /** Bytes a second; 0 for as fast as it goes. */
  slow(rate: number): void;
  close(): Promise<void>;
}

export async function wireTo(host: string): Promise<Wire> {
  const requests: string[] = [];
  let total = 0;
  let cuts = 0;
  let after = 0;
  let rate = 0;
  const sockets = new Set<Socket>();
  const [name = '', port = ''] = host.split(':');
  const server = createServer((client) => {
    const upstream = connect(Number(port), name);
    let brought = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      for (const [, line, range] of chunk
        .toString('latin1')
        .matchAll(/^((?:GET|HEAD|POST|PUT|PATCH) \S+) HTTP\/1\.1\r\n(?:(?!\r\n)[^]*?^range: (\S+)\r\n)?/gim))
        requests.push(range === undefined ? (line ?? '') : `${line ?? ''} ${range}`);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      brought += chunk.length;
      total += chunk.length;
      if (cuts > 0 && brought > after) {
        cuts--;
        client.write(chunk);
        // What is before the cut arrives.
        upstream.pause();
        client.destroySoon();
        return;
      }
      client.write(chunk);
      if (rate === 0) return;
      upstream.pause();
      setTimeout(() => upstream.resume(), (1000 * chunk.length) / rate);
    });
  });
  await listen(server);
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get bytes() {
      return total;
    },
    cut(times, size) {
      [cuts, after] = [times, size];
    },
    slow: (bytes) => (rate = bytes),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** An HTTP or HTTPS server that answers as the test says; everything that is not answered is 404. */
export interface FakeServer {
  readonly host: string;
  readonly requests: readonly { readonly line: string; readonly headers: IncomingMessage['headers'] }[];
  close(): Promise<void>;
}

export async function fakeServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  tls?: Certificate,
): Promise<FakeServer> {
  const requests: { line: string; headers: IncomingMessage['headers'] }[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers });
    response.on('error', () => undefined);
    answer(request, response);
    if (
      !response.headersSent &&
      !response.writableEnded &&
      response.statusCode === 200 &&
      !response.hasHeader('x-late')
    )
      response.writeHead(404).end();
  };
  const server =
    tls === undefined
      ? createHttpServer(handle)
      : createHttpsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, handle);
  await listen(server);
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => void server.listen(0, '127.0.0.1', () => resolve()));
}

/** Files in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for loopback that signs itself: its own authority. */
export function makeCertificate(folder: string, name: string): Certificate {
  const cert = path.join(folder, `${name}.crt`);
  const key = path.join(folder, `${name}.key`);
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ].concat(['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']),
    { stdio: 'ignore' },
  );
  return { cert, key };
}

/** A token as docker-registry wants it: a JWT whose header carries the certificate. */
export function makeToken({ cert, key }: Certificate, scopes: readonly string[]): string {
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  const now = Math.floor(Date.now() / 1000);
  const x5c = [new X509Certificate(readFileSync(cert)).raw.toString('base64')];
  const claims = { iss: 'test', aud: 'registry', sub: USER.username, nbf: now - 10, exp: now + 300, iat: now, access };
  const id = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', x5c })}.${encode({ ...claims, jti: id })}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), createPrivateKey(readFileSync(key))).toString('base64url')}`;
}
