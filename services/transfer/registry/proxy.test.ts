import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { isLocalAddress } from './addresses.ts';
import { parseChallenges } from './challenge.ts';
import { proxyFor } from './proxy.ts';

describe('proxies of the environment', () => {
  const through = (url: string, environment: NodeJS.ProcessEnv): string | undefined =>
    proxyFor(new URL(url), environment)?.href;
  const both = { HTTPS_PROXY: 'http://secure:3128', http_proxy: 'plain:3128' };

  it('are for one scheme each, and never for loopback', () => {
    assert.equal(through('https://example.com/v2', both), 'http://secure:3128/');
    assert.equal(through('http://example.com/v2', both), 'http://plain:3128/');
    assert.equal(through('https://example.com/v2', { all_proxy: 'http://all' }), 'http://all/');
    assert.equal(through('http://localhost:5000/v2', both), undefined);
    assert.equal(through('http://[::1]:5000/v2', both), undefined);
    assert.throws(() => through('http://x/', { http_proxy: 'socks5://u:secret@x' }), /proxy "socks5:\/\/x" .* http/);
  });

  it('are passed by for what NO_PROXY names', () => {
    const no = (list: string, url: string) => through(url, { ...both, NO_PROXY: list }) === undefined;
    assert.ok(no('*', 'https://example.com'));
    assert.ok(no('other, .example.com', 'https://r.example.com'));
    assert.ok(no('example.com', 'https://r.example.com'));
    assert.ok(!no('ample.com', 'https://example.com'));
    assert.ok(no('example.com:443', 'https://example.com'));
    assert.ok(!no('example.com:444', 'https://example.com'));
    assert.ok(no('10.0.0.0/8', 'https://10.1.2.3'));
    assert.ok(!no('10.0.0.0/8', 'https://11.1.2.3'));
  });
});

describe('addresses of this machine', () => {
  for (const address of [
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '169.254.169.254',
    '::1',
    '::',
    'fe80::1',
    '::ffff:127.0.0.1',
  ])
    it(`has ${address}`, () => assert.ok(isLocalAddress(address)));
  for (const address of ['10.0.0.1', '192.168.1.1', '1.2.3.4', '2001:db8::1'])
    it(`has not ${address}`, () => assert.ok(!isLocalAddress(address)));
});

describe('challenges', () => {
  it('are read with their parameters', () => {
    const [bearer, basic] = parseChallenges([
      'Bearer realm="https://a/t?x=1,2",service=s,scope="repository:a:pull,push", Basic realm="a \\"b\\""',
    ]);
    assert.equal(bearer?.scheme, 'bearer');
    assert.deepEqual(
      [...(bearer?.parameters ?? [])],
      [
        ['realm', 'https://a/t?x=1,2'],
        ['service', 's'],
        ['scope', 'repository:a:pull,push'],
      ],
    );
    assert.equal(basic?.parameters.get('realm'), 'a "b"');
  });

  it('are nothing where there is nothing to read', () => {
    assert.deepEqual(parseChallenges(['', '"', `Bearer ${'x'.repeat(10_000)}`, '=,=,=']), []);
  });
});
