import assert from 'node:assert/strict';
import fc from 'fast-check';
import Long from 'long';
import { describe, it } from 'mocha';
import protobuf from 'protobufjs/light.js';
import { descriptors } from './descriptors.ts';
import { codec, findCodec, methodNames, methodOf } from './messages.ts';

interface Json {
  readonly nested?: Readonly<Record<string, Json>>;
  readonly fields?: Readonly<Record<string, { type: string; rule?: string; keyType?: string }>>;
  readonly values?: Readonly<Record<string, number>>;
}

protobuf.util.Long = Long;
protobuf.configure();

const all = descriptors('containerd') as Json;
const reference = protobuf.Root.fromJSON(descriptors('containerd'));
const AS_OURS = { longs: String, enums: Number, defaults: true };

function lookup(name: string): Json | undefined {
  return name.split('.').reduce<Json | undefined>((scope, part) => scope?.nested?.[part], all);
}

/** protobufjs takes an enum's first name for its zero, which here is -8. */
const DIFFERENT = new Set(['containerd.runtime.bootstrap.v1.BootstrapParams']);

function* messageNames(scope: Json, path: readonly string[] = []): Generator<string> {
  if (scope.fields !== undefined) yield path.join('.');
  for (const [name, each] of Object.entries(scope.nested ?? {})) yield* messageNames(each, [...path, name]);
}

function resolve(scope: string, type: string): string {
  const parts = scope.split('.');
  for (let length = parts.length; length > 0; length--) {
    const name = [...parts.slice(0, length), type].join('.');
    if (lookup(name) !== undefined) return name;
  }
  return type;
}

const scalars: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  double: fc.double({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
  int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  bool: fc.boolean(),
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
};

/** Any message of the type, as a program could pass it. */
function arbitrary(name: string, depth: number): fc.Arbitrary<object> {
  const fields = Object.entries(lookup(name)?.fields ?? {}).flatMap(([field, { type, rule, keyType }]) => {
    const target = resolve(name, type);
    const isEnum = lookup(target)?.values !== undefined;
    const scalar = scalars[type] ?? (isEnum ? scalars['int32'] : undefined);
    if (scalar === undefined && depth === 0) return [];
    const value = scalar ?? arbitrary(target, depth - 1);
    if (keyType !== undefined)
      return [
        [
          field,
          fc.dictionary(
            fc.string().filter((key) => key !== '__proto__'),
            value,
          ),
        ] as const,
      ];
    return [[field, rule === 'repeated' ? fc.array(value, { maxLength: 3 }) : value] as const];
  });
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
}

describe('messages of the wire', () => {
  for (const name of messageNames(all)) {
    if (DIFFERENT.has(name)) continue;
    it(`reads and writes ${name} as protobufjs does`, () => {
      const ours = codec<object>(name);
      const theirs = reference.lookupType(name);
      fc.assert(
        fc.property(arbitrary(name, 2), (message) => {
          const bytes = theirs.encode(theirs.fromObject(message)).finish();
          const expected = plain(theirs.toObject(theirs.decode(bytes), AS_OURS));
          assert.deepEqual(plain(ours.decode(bytes)), expected);
          assert.deepEqual(plain(theirs.toObject(theirs.decode(ours.encode(message)), AS_OURS)), expected);
        }),
        { numRuns: 25 },
      );
    });
  }

  it('keeps a label called __proto__', () => {
    const { encode, decode } = codec<{ labels: Record<string, string> }>('containerd.services.content.v1.Info');
    const labels: Record<string, string> = Object.create(null) as Record<string, string>;
    labels['__proto__'] = 'x';
    const decoded = decode(encode({ labels })).labels;
    assert.deepEqual(Object.entries(decoded), [['__proto__', 'x']]);
  });

  it('reports bytes that are no message, and never hangs on them', () => {
    const { decode } = codec<object>('containerd.services.images.v1.ListImagesResponse');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
      }),
    );
    assert.throws(() => decode(Buffer.from([0x0a, 0x05, 0x01])), /ends in the middle/);
    assert.throws(() => decode(Buffer.alloc(12, 0xff)), /varint/);
  });

  it('knows services and their methods', () => {
    assert.ok(methodNames('containerd.services.content.v1.Content').includes('Write'));
    const write = methodOf('containerd.services.content.v1.Content', 'Write');
    assert.deepEqual(
      [write.path, write.requestStream, write.responseStream],
      ['/containerd.services.content.v1.Content/Write', true, true],
    );
    assert.equal(findCodec('no.such.Message'), undefined);
  });
});

/** protobufjs leaves members of a oneof out; here they are null. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null && item !== undefined)
      .map(([key, item]) => [key, plain(item)]),
  );
}
