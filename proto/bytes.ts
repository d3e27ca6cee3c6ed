// The bytes of protocol buffers: varints, tags, and blocks of a length.

export const WireType = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

/** Parts longer than this are not copied on their way into the message. */
const COPIED = 128;

export class ByteWriter {
  #chunks: Uint8Array[] = [];
  /** Bytes in `#chunks`. */
  #chunked = 0;
  #small = Buffer.allocUnsafe(COPIED);
  #from = 0;
  #to = 0;

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
    const whole = Number(value);
    if (whole >= 0 && whole <= 0xffff_ffff) return this.uint32(Math.trunc(whole));
    let rest = BigInt.asUintN(64, typeof value === 'number' ? BigInt(Math.trunc(value)) : BigInt(value));
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

  /** UTF-8, with its length before it. */
  string(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  /** What another writer has, with its length before it. */
  block(inner: ByteWriter): this {
    inner.#flush();
    this.uint32(inner.#chunked);
    for (const chunk of inner.#chunks) this.#append(chunk);
    return this;
  }

  finish(): Buffer {
    this.#flush();
    const [only] = this.#chunks;
    if (this.#chunks.length === 1 && only !== undefined)
      return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
    return Buffer.concat(this.#chunks, this.#chunked);
  }

  #byte(value: number): this {
    if (this.#to === this.#small.length) this.#renew();
    this.#small[this.#to++] = value;
    return this;
  }

  #append(value: Uint8Array): this {
    if (value.length > COPIED) {
      this.#flush();
      return this.#push(value);
    }
    if (value.length > this.#small.length - this.#to) this.#renew();
    this.#small.set(value, this.#to);
    this.#to += value.length;
    return this;
  }

  #renew(): void {
    this.#flush();
    this.#small = Buffer.allocUnsafe(4 * COPIED);
    this.#from = 0;
    this.#to = 0;
  }

  #flush(): void {
    if (this.#to === this.#from) return;
    this.#push(this.#small.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #push(chunk: Uint8Array): this {
    this.#chunks.push(chunk);
    this.#chunked += chunk.length;
    return this;
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

  /** A varint in full, as decimal digits. */
  int64(signed: boolean): string {
    // 28 bits each, and the last 8: bitwise operators know 32.
    const parts: [number, number, number] = [0, 0, 0];
    for (let index = 0; index < 10; index++) {
      const byte = this.#byte();
      const part = index >> 2;
      parts[part] = (parts[part] as number) | ((byte & 0x7f) << (7 * (index & 3)));
      if (byte < 0x80) return decimal(parts, signed);
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

  /** UTF-8, with its length before it. */
  string(): string {
    const end = this.blockEnd();
    const value = this.#bytes.toString('utf8', this.position, end);
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
    if (wireType === WireType.VARINT) this.int64(false);
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

function decimal([low, middle, high]: readonly [number, number, number], signed: boolean): string {
  // 53 bits are exact as a number.
  if (high === 0 && middle < 1 << 25) return String(low + middle * (1 << 28));
  const value = BigInt(low) | (BigInt(middle) << 28n) | (BigInt(high) << 56n);
  return String(signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
}
