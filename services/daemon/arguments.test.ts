import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseArguments } from './arguments.ts';

describe('command line of davitd', () => {
  it('takes containerd’s flags, in Go’s form too', () => {
    const args = parseArguments(['--config', 'c', '-a', 's', '-root=/r', '--state', '/s', '-log-level', 'debug']);
    assert.deepEqual(
      [args.command, args.config, args.address, args.root, args.state, args.logLevel],
      ['run', 'c', 's', '/r', '/s', 'debug'],
    );
  });

  it('knows its commands', () => {
    assert.equal(parseArguments(['config', 'default']).command, 'config default');
    assert.equal(parseArguments(['-c', 'x', 'config', 'dump']).command, 'config dump');
    assert.equal(parseArguments(['--version']).command, 'version');
    assert.equal(parseArguments(['-h']).command, 'help');
  });

  it('refuses what it does not know, and says where to look', () => {
    assert.throws(() => parseArguments(['confi']), /unknown command "confi"; see davitd --help/);
    assert.throws(() => parseArguments(['--nope']), /--nope.*davitd --help/s);
  });
});
