import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { codec } from '../../proto/messages.ts';
import { kindOf } from '../lib/errors.ts';
import { parseAnswer, socketPath } from './answer.ts';

const results = codec('containerd.runtime.bootstrap.v1.BootstrapResult');

describe('the answer of a shim', () => {
  it('is a bare address', () => {
    assert.deepEqual(parseAnswer(Buffer.from('unix:///run/containerd/s/abc\n')), {
      version: 2,
      address: 'unix:///run/containerd/s/abc',
      protocol: 'ttrpc',
    });
  });

  it('is JSON', () => {
    const endpoint = { version: 3, address: 'unix:///a', protocol: 'ttrpc' };
    assert.deepEqual(parseAnswer(Buffer.from(JSON.stringify(endpoint))), endpoint);
  });

  it('is protobuf', () => {
    const endpoint = { version: 3, address: 'unix:///a', protocol: 'ttrpc' };
    assert.deepEqual(parseAnswer(results.encode(endpoint)), endpoint);
  });

  it('is protobuf that ends with white space', () => {
    // A protocol that ends with a line feed: trimming would cut the message.
    const endpoint = { version: 2, address: 'unix:///a', protocol: 'ttrpc\n' };
    assert.deepEqual(parseAnswer(results.encode(endpoint)), endpoint);
  });

  it('is refused when the version is not known, or there is no address', () => {
    assert.throws(
      () => parseAnswer(results.encode({ version: 4, address: 'unix:///a', protocol: 'ttrpc' })),
      (error) => kindOf(error) === 'not implemented',
    );
    assert.throws(
      () => parseAnswer(Buffer.alloc(0)),
      (error) => kindOf(error) === 'internal',
    );
  });

  it('names a socket', () => {
    const path = (address: string, protocol = 'ttrpc'): string => socketPath({ version: 2, address, protocol });
    assert.equal(path('unix:///run/s'), '/run/s');
    assert.equal(path('unix:/run/s'), '/run/s');
    assert.equal(path('/containerd-shim/x.sock'), '\0/containerd-shim/x.sock');
    assert.throws(
      () => path('vsock://3:1024'),
      (error) => kindOf(error) === 'not implemented',
    );
    assert.throws(
      () => path('unix:///a', 'grpc'),
      (error) => kindOf(error) === 'not implemented',
    );
  });
});
