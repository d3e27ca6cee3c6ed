// A ttrpc server: unary methods, over any number of connections. What a client that does not read
// its answers can make the server hold is bounded: its connection is no longer read.
import { createServer as createSocketServer, type Server, type Socket } from 'node:net';
import { codeOf } from '../../lib/codes.ts';
import { Failure } from '../../lib/errors.ts';
import type { TtrpcMethod } from '../api.ts';
import { createFrameReader, encodeFrame, FrameType, MAX_PAYLOAD, type Frame } from './frame.ts';
import { requests, responses } from './messages.ts';

export interface TtrpcServerDeps {
  /** By `service/method`, for example `containerd.services.events.ttrpc.v1.Events/Forward`. */
  readonly methods: ReadonlyMap<string, TtrpcMethod>;
  /** Told of errors that no Failure stands for. */
  onUnexpected(method: string, error: unknown): void;
}

/** Calls in work, and bytes not yet read by the client, at which a connection is not read further. */
const MAX_CALLS = 32;
const MAX_UNSENT = 1 << 20;

export interface TtrpcServer {
  /** For listen(). */
  readonly server: Server;
  /** Stops listening and ends all connections. */
  close(): Promise<void>;
}

export function createTtrpcServer(deps: TtrpcServerDeps): TtrpcServer {
  const sockets = new Set<Socket>();
  const server = createSocketServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(deps, socket);
  });
  return {
    server,
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
    },
  };
}

function serve(deps: TtrpcServerDeps, socket: Socket): void {
  const reader = createFrameReader();
  let waiting: Frame[] = [];
  let calls = 0;
  const pump = (): void => {
    let next = 0;
    while (next < waiting.length && calls < MAX_CALLS && socket.writableLength < MAX_UNSENT) {
      const frame = waiting[next++] as Frame;
      if (frame.type !== FrameType.request) continue;
      calls++;
      void answer(deps, frame).then((response) => {
        calls--;
        if (socket.writable) socket.write(response);
        pump();
      });
    }
    waiting = waiting.slice(next);
    if (waiting.length > 0) socket.pause();
    else if (socket.isPaused()) socket.resume();
  };
  // A client that goes away is no event: the shim was stopped or lost.
  socket.on('error', () => socket.destroy());
  socket.on('drain', pump);
  socket.on('data', (chunk: Buffer) => {
    waiting = waiting.length === 0 ? reader.push(chunk) : waiting.concat(reader.push(chunk));
    pump();
  });
}

/** The response's frame; never rejects. */
async function answer(deps: TtrpcServerDeps, frame: Frame): Promise<Buffer> {
  let name = '';
  try {
    if (frame.payload === undefined) {
      throw new Failure('resource exhausted', `ttrpc: message exceeds ${MAX_PAYLOAD} bytes`);
    }
    const request = decodeRequest(frame.payload);
    name = `${request.service}/${request.method}`;
    const method = deps.methods.get(name);
    if (method === undefined) throw new Failure('not implemented', `ttrpc: method ${name}: not implemented`);
    const metadata = new Map(request.metadata.map(({ key, value }) => [key.toLowerCase(), value]));
    const payload = await method(request.payload, metadata);
    return encodeFrame(frame.streamId, FrameType.response, responses.encode({ payload }));
  } catch (error) {
    if (!(error instanceof Failure)) deps.onUnexpected(name, error);
    const code = codeOf(error instanceof Failure ? error.kind : 'unknown');
    const message = error instanceof Error ? error.message : String(error);
    return encodeFrame(frame.streamId, FrameType.response, responses.encode({ status: { code, message } }));
  }
}

function decodeRequest(payload: Buffer) {
  try {
    return requests.decode(payload);
  } catch (error) {
    throw new Failure('invalid argument', 'ttrpc: request is no ttrpc.Request: invalid argument', { cause: error });
  }
}
