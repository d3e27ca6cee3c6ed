// A client that asks and never reads an answer: HTTP/2 without a reader, whose windows fill up.
import { connect as connectSession } from 'node:http2';
import { connect as connectSocket } from 'node:net';

export interface MuteReader {
  /** Begins a call with one message. */
  ask(path: string, message?: Buffer): void;
  end(): void;
}

export function createMuteReader(address: string, namespace: string): MuteReader {
  const session = connectSession('http://localhost', { createConnection: () => connectSocket(address) });
  session.on('error', () => undefined);
  return {
    ask(path, message = Buffer.alloc(0)) {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'containerd-namespace': namespace,
      });
      stream.on('error', () => undefined);
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      message.copy(frame, 5);
      stream.end(frame);
    },
    end: () => session.destroy(),
  };
}
