// ttrpc on the wire: frames of a 10-byte header (payload length, stream id, type, flags; big endian)
// and a payload of at most 4 MiB. No I/O here.

export const HEADER_LENGTH = 10;
export const MAX_PAYLOAD = 4 << 20;

export const FrameType = { request: 1, response: 2, data: 3 } as const;

export interface Frame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  /** Undefined when the sender wrote more than MAX_PAYLOAD: the bytes were skipped. */
  readonly payload: Buffer | undefined;
}

/** Header and payload in one buffer, so that a frame is one write. Throws RangeError when the payload is too long. */
export function encodeFrame(streamId: number, type: number, payload: Uint8Array): Buffer {
  if (payload.length > MAX_PAYLOAD) {
    throw new RangeError(`ttrpc: message of ${payload.length} bytes exceeds ${MAX_PAYLOAD}`);
  }
  const frame = Buffer.allocUnsafe(HEADER_LENGTH + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(streamId, 4);
  frame.writeUInt8(type, 8);
  frame.writeUInt8(0, 9);
  frame.set(payload, HEADER_LENGTH);
  return frame;
}

export interface FrameReader {
  /** Takes bytes as they arrive and returns the frames that they complete. */
  push(chunk: Buffer): Frame[];
  /** True between frames: an end of the connection here loses nothing. */
  readonly idle: boolean;
}

export function createFrameReader(): FrameReader {
  let chunks: Buffer[] = [];
  let buffered = 0;
  let header: { length: number; streamId: number; type: number; flags: number } | undefined;
  /** Bytes of a too long payload still to be thrown away. */
  let toSkip = 0;

  const take = (length: number): Buffer => {
    const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, buffered);
    const taken = all.subarray(0, length);
    buffered -= length;
    chunks = buffered === 0 ? [] : [all.subarray(length)];
    return taken;
  };

  const next = (): Frame | undefined => {
    if (header === undefined) {
      if (buffered < HEADER_LENGTH) return undefined;
      const bytes = take(HEADER_LENGTH);
      header = {
        length: bytes.readUInt32BE(0),
        streamId: bytes.readUInt32BE(4),
        type: bytes.readUInt8(8),
        flags: bytes.readUInt8(9),
      };
      if (header.length > MAX_PAYLOAD) toSkip = header.length;
    }
    const { length, streamId, type, flags } = header;
    if (length > MAX_PAYLOAD) {
      const skipped = Math.min(toSkip, buffered);
      if (skipped > 0) take(skipped);
      toSkip -= skipped;
      if (toSkip > 0) return undefined;
      header = undefined;
      return { streamId, type, flags, payload: undefined };
    }
    if (buffered < length) return undefined;
    header = undefined;
    return { streamId, type, flags, payload: length === 0 ? Buffer.alloc(0) : take(length) };
  };

  return {
    push(chunk) {
      if (chunk.length > 0) {
        chunks.push(chunk);
        buffered += chunk.length;
      }
      const frames: Frame[] = [];
      for (let frame = next(); frame !== undefined; frame = next()) frames.push(frame);
      return frames;
    },
    get idle() {
      return header === undefined && buffered === 0;
    },
  };
}
