// Opens the gRPC endpoints: the unix socket, and TCP where it is configured.
import { chmod, chown, mkdir, readFile, unlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { ServerCredentials, type Server } from '@grpc/grpc-js';
import { Failure, errnoCode } from '../lib/errors.ts';
import type { GrpcConfig } from './defaults.ts';

/** Longest path that a unix socket can have (sockaddr_un less its final NUL). */
const MAX_SOCKET_PATH = 107;

/**
 * Makes way for a socket at `address`: its folder, and no dead socket in the way.
 * Throws `failed precondition` when a live daemon listens there.
 */
export async function prepareSocket(address: string): Promise<void> {
  if (Buffer.byteLength(address) > MAX_SOCKET_PATH) {
    throw new Failure(
      'invalid argument',
      `socket path "${address}" is longer than ${MAX_SOCKET_PATH} bytes; choose a shorter --address: invalid argument`,
    );
  }
  await mkdir(path.dirname(address), { recursive: true, mode: 0o711 });
  if (await connectable(address)) {
    throw new Failure(
      'failed precondition',
      `another daemon listens on "${address}"; stop it or choose another --address: failed precondition`,
    );
  }
  await unlink(address).catch((error: unknown) => {
    if (errnoCode(error) !== 'ENOENT') throw error;
  });
}

function connectable(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    const settle = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', settle(true));
    socket.once('error', settle(false));
  });
}

/** Gives a socket to its configured owner, 0660. */
export async function ownSocket(address: string, uid: number, gid: number): Promise<void> {
  await chown(address, uid, gid);
  await chmod(address, 0o660);
}

export async function listen(server: Server, config: GrpcConfig): Promise<void> {
  await prepareSocket(config.address);
  await bind(server, `unix:${config.address}`, ServerCredentials.createInsecure());
  await ownSocket(config.address, config.uid, config.gid);
  if (config.tcp_address !== '') await bind(server, config.tcp_address, await tcpCredentials(config));
}

async function tcpCredentials(config: GrpcConfig): Promise<ServerCredentials> {
  if (config.tcp_tls_cert === '' || config.tcp_tls_key === '') {
    const host = config.tcp_address.replace(/:\d+$/, '');
    if (host === '127.0.0.1' || host === '[::1]' || host === 'localhost') return ServerCredentials.createInsecure();
    throw new Failure(
      'invalid argument',
      `grpc.tcp_address "${config.tcp_address}" is not loopback: set tcp_tls_cert and tcp_tls_key: invalid argument`,
    );
  }
  const [cert_chain, private_key] = await Promise.all([readFile(config.tcp_tls_cert), readFile(config.tcp_tls_key)]);
  const authority = config.tcp_tls_ca === '' ? null : await readFile(config.tcp_tls_ca);
  return ServerCredentials.createSsl(authority, [{ cert_chain, private_key }], authority !== null);
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error) => {
      if (error === null) resolve();
      else
        reject(new Failure('unavailable', `listen on "${address}": ${error.message}: unavailable`, { cause: error }));
    });
  });
}
