// A ttrpc client over one connection: any number of concurrent unary calls.
import { connect as connectSocket, type Socket } from 'node:net';
import type { Response } from '../../../proto/gen/ttrpc.ts';
import { errnoCode, Failure, unavailable } from '../../lib/errors.ts';
import { createFrameReader, encodeFrame, FrameType } from './frame.ts';
import { requests, responses } from './messages.ts';

export interface TtrpcCall {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
  readonly signal?: AbortSignal;
  /** The server is told; here the call fails with `deadline exceeded` after it. */
  readonly timeoutMs?: number;
}

/** A status other than OK in a response: the gRPC code as the server sent it. */
export class TtrpcStatus extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'TtrpcStatus';
    this.code = code;
  }
}

export interface TtrpcClient {
  /**
   * Resolves with the response's payload. Rejects with TtrpcStatus when the server answers with one,
   * with `unavailable` when the connection is lost or closed (see isClosed), with the signal's reason
   * when aborted: the server may then still have done what was asked.
   */
  call(call: TtrpcCall): Promise<Buffer>;
  readonly closed: boolean;
  /** Calls back once, when the connection has ended for whatever reason; at once when it has already. */
  onClose(listener: () => void): void;
  /** Ends the connection; pending calls reject. */
  close(): void;
}

/** The connection to the server was lost or closed. */
export class ConnectionClosed extends Failure {
  constructor(address: string, cause?: unknown) {
    super(
      'unavailable',
      `ttrpc connection to ${address} closed: unavailable`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/**
 * Connects to a unix socket. ConnectionClosed when nobody listens: there is none, or a dead process left it;
 * `unavailable` for other reasons, and when it takes longer than `timeoutMs`.
 */
export function connectTtrpc(path: string, timeoutMs: number): Promise<TtrpcClient> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path });
    const timer = setTimeout(() => fail(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      const gone = errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ECONNREFUSED';
      reject(
        gone
          ? new ConnectionClosed(path, error)
          : unavailable(`ttrpc connection to ${path}: ${error.message}`, { cause: error }),
      );
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(createTtrpcClient(socket, path));
    });
  });
}

interface Pending {
  resolve(payload: Buffer): void;
  reject(error: unknown): void;
}

/** Speaks ttrpc over a connected socket, and owns it. */
export function createTtrpcClient(socket: Socket, address: string): TtrpcClient {
  const pending = new Map<number, Pending>();
  const listeners: (() => void)[] = [];
  const reader = createFrameReader();
  let nextStream = 1;
  let closed = false;
  let cause: Error | undefined;

  const end = (): void => {
    if (closed) return;
    closed = true;
    socket.destroy();
    const error = new ConnectionClosed(address, cause);
    for (const call of pending.values()) call.reject(error);
    pending.clear();
    for (const listener of listeners.splice(0)) listener();
  };
  socket.on('error', (error) => (cause = error));
  socket.on('end', end);
  socket.on('close', end);
  socket.on('data', (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      const call = pending.get(frame.streamId);
      // An answer to a call that was given up, or a kind of frame we never ask for.
      if (call === undefined || frame.type !== FrameType.response) continue;
      pending.delete(frame.streamId);
      settle(call, frame.payload);
    }
  });

  return {
    call(call) {
      return new Promise((resolve, reject) => {
        if (closed) {
          reject(new ConnectionClosed(address, cause));
          return;
        }
        if (call.signal?.aborted) {
          reject(call.signal.reason);
          return;
        }
        const stream = nextStream;
        const bytes = encodeCall(stream, call);
        nextStream = nextStream >= 0xffff_fffd ? 1 : nextStream + 2;
        pending.set(
          stream,
          guarded(call, { resolve, reject }, () => pending.delete(stream)),
        );
        socket.write(bytes);
      });
    },
    get closed() {
      return closed;
    },
    onClose(listener) {
      if (closed) listener();
      else listeners.push(listener);
    },
    close: end,
  };
}

/** The call as a frame, ready to be sent. */
export function encodeCall(stream: number, { service, method, payload, metadata, timeoutMs }: TtrpcCall): Buffer {
  const timeout_nano = timeoutMs === undefined ? '0' : String(Math.round(timeoutMs * 1e6));
  return encodeFrame(stream, FrameType.request, requests.encode({ service, method, payload, timeout_nano, metadata }));
}

/** Adds the call's timeout and signal to a pending call; both are let go when it settles. */
function guarded(call: TtrpcCall, outcome: Pending, forget: () => void): Pending {
  const { signal, timeoutMs } = call;
  if (signal === undefined && timeoutMs === undefined) return outcome;
  const giveUp = (error: unknown): void => {
    forget();
    release();
    outcome.reject(error);
  };
  const onAbort = (): void => giveUp(signal?.reason);
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => giveUp(new Failure('deadline exceeded', `${call.service}/${call.method}: deadline exceeded`)),
          timeoutMs,
        );
  signal?.addEventListener('abort', onAbort, { once: true });
  const release = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  return {
    resolve(payload) {
      release();
      outcome.resolve(payload);
    },
    reject(error) {
      release();
      outcome.reject(error);
    },
  };
}

function settle(call: Pending, payload: Buffer | undefined): void {
  try {
    if (payload === undefined) throw new Failure('resource exhausted', 'ttrpc: response too long: resource exhausted');
    call.resolve(payloadOf(payload));
  } catch (error) {
    call.reject(error);
  }
}

/** The payload in a response; throws the status in it, when it is another than OK. */
export function payloadOf(frame: Buffer): Buffer {
  let response: Response;
  try {
    response = responses.decode(frame);
  } catch (error) {
    throw new Failure('internal', 'ttrpc: response is no ttrpc.Response: internal', { cause: error });
  }
  const { status, payload } = response;
  if (status !== null && status.code !== 0) throw new TtrpcStatus(status.code, status.message);
  return payload;
}
