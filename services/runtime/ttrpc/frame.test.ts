import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { createFrameReader, encodeFrame, FrameType, HEADER_LENGTH, MAX_PAYLOAD, type Frame } from './frame.ts';

const frames = fc.array(
  fc.record({
    streamId: fc.nat(0xffffffff),
    type: fc.constantFrom(...Object.values(FrameType)),
    payload: fc.uint8Array({ maxLength: 300 }),
  }),
  { maxLength: 12 },
);

/** Cuts a buffer at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe('ttrpc frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(5000), { maxLength: 40 }), (sent, places) => {
        const bytes = Buffer.concat(sent.map((frame) => encodeFrame(frame.streamId, frame.type, frame.payload)));
        const reader = createFrameReader();
        const received = cut(bytes, places).flatMap((chunk) => reader.push(Buffer.from(chunk)));
        assert.deepEqual(
          received.map(({ streamId, type, payload }) => ({ streamId, type, payload: [...(payload ?? [])] })),
          sent.map(({ streamId, type, payload }) => ({ streamId, type, payload: [...payload] })),
        );
        assert.equal(reader.idle, true);
      }),
    );
  });

  it('never throw or grow on bytes that are no ttrpc', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const reader = createFrameReader();
        for (const chunk of chunks) reader.push(Buffer.from(chunk));
      }),
    );
  });

  it('skip a payload that is too long and go on with the next frame', () => {
    const reader = createFrameReader();
    const header = Buffer.alloc(HEADER_LENGTH);
    header.writeUInt32BE(MAX_PAYLOAD + 5, 0);
    header.writeUInt32BE(7, 4);
    header.writeUInt8(FrameType.request, 8);
    const received: Frame[] = [...reader.push(header)];
    let left = MAX_PAYLOAD + 5;
    while (left > 0) {
      const size = Math.min(left, 1 << 20);
      received.push(...reader.push(Buffer.alloc(size)));
      left -= size;
    }
    received.push(...reader.push(encodeFrame(9, FrameType.request, Buffer.from('x'))));
    assert.deepEqual(
      received.map(({ streamId, payload }) => [streamId, payload?.toString()]),
      [
        [7, undefined],
        [9, 'x'],
      ],
    );
  });

  it('are refused when too long to be sent', () => {
    assert.throws(() => encodeFrame(1, FrameType.request, Buffer.alloc(MAX_PAYLOAD + 1)), RangeError);
  });
});
