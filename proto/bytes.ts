// The bytes of protocol buffers: varints, tags, and blocks of a length.

export const WireType = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

export class ByteWriter {
  #chunks: Uint8Array[] = [];
  #small = Buffer.allocUnsafe(64);
  #used = 0;

  tag(id: number, wireType: number): this {
    return this.uint32((id << 3) | wireType);
  }

  uint32(value: number): this {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.#byte(rest);
  }

  /** A 64-bit integer, signed or not; negative ones take ten bytes. */
  int64(value: string | number | bigint): this {
    const whole = typeof value === 'number' ? BigInt(Math.trunc(value)) : BigInt(value);
    let rest = BigInt.asUintN(64, whole);
    while (rest > 0x7fn) {
      this.#byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    return this.#byte(Number(rest));
  }

  double(value: number): this {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleLE(value);
    return this.#append(bytes);
  }

  /** With their length before them. */
  bytes(value: Uint8Array): this {
    return this.uint32(value.length).#append(value);
  }

  finish(): Buffer {
    this.#flush();
    const [only] = this.#chunks;
    if (this.#chunks.length === 1 && only !== undefined)
      return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
    return Buffer.concat(this.#chunks);
  }

  #byte(value: number): this {
    if (this.#used === this.#small.length) {
      this.#flush();
      this.#small = Buffer.allocUnsafe(256);
    }
    this.#small[this.#used++] = value;
    return this;
  }

  #append(value: Uint8Array): this {
    if (value.length <= this.#small.length - this.#used) {
      this.#small.set(value, this.#used);
      this.#used += value.length;
      return this;
    }
    this.#flush();
    this.#chunks.push(value);
    return this;
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#chunks.push(this.#small.subarray(0, this.#used));
    this.#small = this.#small.subarray(this.#used);
    this.#used = 0;
  }
}

export class ByteReader {
  position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The low 32 bits of a varint. */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new Error('varint of more than ten bytes');
  }

  uint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error('varint of more than ten bytes');
  }

  double(): number {
    const value = this.#bytes.readDoubleLE(this.position);
    this.position += 8;
    return value;
  }

  /** A block with its length before it; shares memory with the message. */
  bytes(): Buffer {
    const end = this.blockEnd();
    const value = this.#bytes.subarray(this.position, end);
    this.position = end;
    return value;
  }

  /** Reads a block's length; where the block ends. */
  blockEnd(): number {
    const length = this.uint32();
    const end = this.position + length;
    if (end > this.#bytes.length) throw new Error('message ends in the middle of a field');
    return end;
  }

  skip(wireType: number): void {
    if (wireType === WireType.VARINT) this.uint64();
    else if (wireType === WireType.FIXED64) this.position += 8;
    else if (wireType === WireType.FIXED32) this.position += 4;
    else if (wireType === WireType.BYTES) this.position = this.blockEnd();
    else throw new Error(`wire type ${wireType} is not used`);
    if (this.position > this.#bytes.length) throw new Error('message ends in the middle of a field');
  }

  #byte(): number {
    const byte = this.#bytes[this.position++];
    if (byte === undefined) throw new Error('message ends in the middle of a field');
    return byte;
  }
}
