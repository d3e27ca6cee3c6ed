import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseDuration } from './duration.ts';
import { flag } from './flags.ts';
import { UsageError, parse } from './parse.ts';
import { parseSize } from './size.ts';

const flags = {
  tty: flag.switch({ alias: 't', help: '' }),
  detach: flag.switch({ alias: 'd', help: '' }),
  env: flag.list({ help: '' }),
  user: flag.string({ alias: 'u', help: '', env: ['TEST_USER'] }),
  cpus: flag.number({ help: '' }),
  format: flag.choice(['table', 'json'], 'table', { help: '' }),
};

const read = (argv: string[], stopAtFirst = false, env: Record<string, string> = {}) =>
  parse(flags, argv, { stopAtFirst, env });

describe('arguments', () => {
  it('takes flags as Go does', () => {
    const { values, rest } = read(['-tty', '--env', 'A=1', '-env=B=2', '--user=me', 'x', '--detach=false', 'y']);
    assert.deepEqual(rest, ['x', 'y']);
    assert.deepEqual([values.tty, values.detach, values.env, values.user], [true, false, ['A=1', 'B=2'], 'me']);
  });

  it('leaves what follows the first argument alone where it must', () => {
    const { values, rest } = read(['-t', 'image', 'id', 'ls', '-d', '--env'], true);
    assert.deepEqual([values.tty, values.detach, rest], [true, false, ['image', 'id', 'ls', '-d', '--env']]);
  });

  it('joins short switches', () => {
    const { values } = read(['-dt']);
    assert.deepEqual([values.tty, values.detach], [true, true]);
  });

  it('ends flags at --, and takes - for an argument', () => {
    assert.deepEqual(read(['-', '--', '-t']).rest, ['-', '-t']);
  });

  it('takes the environment where nothing is written', () => {
    assert.equal(read([], false, { TEST_USER: 'env' }).values.user, 'env');
    assert.equal(read(['-u', 'me'], false, { TEST_USER: 'env' }).values.user, 'me');
    assert.equal(read(['--user', '']).values.user, '');
    assert.equal(read([]).values.user, undefined);
  });

  for (const [argv, words] of [
    [['--nope'], 'flag provided but not defined: --nope'],
    [['--user'], 'flag needs an argument: --user'],
    [['--cpus', 'many'], 'invalid value for flag --cpus: "many" is not a number'],
    [['--format', 'xml'], 'not one of table, json'],
    [['--tty=perhaps'], 'neither true nor false'],
    [['-tx'], 'not defined: -tx'],
  ] as const) {
    it(`refuses ${argv.join(' ')}`, () => {
      assert.throws(
        () => read([...argv]),
        (error) => error instanceof UsageError && error.message.includes(words),
      );
    });
  }

  it('reads sizes and durations', () => {
    assert.deepEqual(['0', '100m', '1g', '1.5KiB', '9007199254740993'].map(parseSize), [
      0n,
      104857600n,
      1073741824n,
      1536n,
      9007199254740993n,
    ]);
    assert.deepEqual(['0', '10s', '1h30m', '1.5ms', '-2s'].map(parseDuration), [0, 10_000, 5_400_000, 1.5, -2000]);
    for (const bad of ['', '1x', 'm', '-1']) assert.throws(() => parseSize(bad));
    for (const bad of ['', '10', 's', '1s x']) assert.throws(() => parseDuration(bad));
  });
});
