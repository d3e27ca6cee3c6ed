import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { registryHosts } from './hosts.ts';

describe('hosts.toml', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(path.join(tmpdir(), 'hosts-'))));
  afterEach(() => rm(folder, { recursive: true }));

  const write = async (host: string, text: string, name = 'hosts.toml'): Promise<void> => {
    await mkdir(path.join(folder, host), { recursive: true });
    await writeFile(path.join(folder, host, name), text);
  };
  const hosts = (host: string, defaultScheme?: 'http') => registryHosts(host, { folders: [folder], defaultScheme });

  it('is not needed', async () => {
    const [docker] = await hosts('docker.io');
    assert.equal(docker?.root.href, 'https://registry-1.docker.io/v2');
    assert.equal(docker?.mayBePlain, false);
    const [local] = await hosts('localhost:5000');
    assert.deepEqual([local?.root.href, local?.mayBePlain], ['https://localhost:5000/v2', true]);
    const [plain] = await hosts('example.com:80', 'http');
    assert.equal(plain?.root.protocol, 'http:');
  });

  it('names mirrors in their order, the registry last', async () => {
    await write(
      'docker.io',
      `server = "https://registry-1.docker.io"
       [host."https://b.example.com"]
       capabilities = ["pull"]
       [host."http://a.example.com:5000/prefix"]
       override_path = true
       dial_timeout = "3s"
       [host."http://a.example.com:5000/prefix".header]
       x-team = ["one", "two"]`,
    );
    const found = await hosts('docker.io');
    assert.deepEqual(
      found.map(({ root, namespace }) => [root.href, namespace]),
      [
        ['https://b.example.com/v2', 'docker.io'],
        ['http://a.example.com:5000/prefix', 'docker.io'],
        ['https://registry-1.docker.io/v2', undefined],
      ],
    );
    assert.deepEqual([...(found[0]?.capabilities ?? [])], ['pull']);
    assert.deepEqual(found[1]?.headers, { 'x-team': 'one, two' });
    assert.equal(found[1]?.dialTimeout, 3000);
    assert.equal(found[2]?.source, path.join(folder, 'docker.io', 'hosts.toml'));
  });

  it('is found by host and port, by host, and by default', async () => {
    await write('_default', 'server = "https://everything.example.com"');
    await write('one.example.com_5000_', 'server = "https://port.example.com"');
    await write('two.example.com', 'server = "https://host.example.com"');
    const first = async (host: string) => (await hosts(host))[0]?.root.hostname;
    assert.equal(await first('one.example.com:5000'), 'port.example.com');
    assert.equal(await first('two.example.com'), 'host.example.com');
    assert.equal(await first('three.example.com'), 'everything.example.com');
  });

  it('names certificates, beside it or anywhere', async () => {
    await write('x.example.com', 'CA', 'ca.pem');
    await write('x.example.com', 'CERT', 'client.pem');
    await write(
      'x.example.com',
      'ca = "ca.pem"\nclient = ["client.pem", ["client.pem", "ca.pem"]]\nskip_verify = true',
    );
    const [host] = await hosts('x.example.com');
    assert.deepEqual(host?.tls, {
      ca: ['CA'],
      client: [
        { cert: 'CERT', key: 'CERT' },
        { cert: 'CERT', key: 'CA' },
      ],
      skipVerify: true,
    });
  });

  it("may be left out for Docker's certificate files", async () => {
    await write('x.example.com', 'CA', 'authority.crt');
    await write('x.example.com', 'CERT', 'client.cert');
    await assert.rejects(hosts('x.example.com'), /"client\.key" is missing beside it/);
    await write('x.example.com', 'KEY', 'client.key');
    const [host] = await hosts('x.example.com');
    assert.deepEqual(host?.tls, { ca: ['CA'], client: [{ cert: 'CERT', key: 'KEY' }], skipVerify: false });
  });

  const wrong: readonly (readonly [string, RegExp])[] = [
    ['server = 1', /hosts\.toml: server: must be a URL/],
    ['server = "ftp://x"', /hosts\.toml: server: "ftp:\/\/x" is not an http\(s\) URL/],
    ['capabilities = ["sing"]', /hosts\.toml: capabilities: must be a list of/],
    ['[host."https://x"]\nskip_verify = "no"', /hosts\.toml: host\."https:\/\/x"\.skip_verify: must be true or false/],
    ['ca = "none.pem"', /hosts\.toml: ca: cannot read ".*none\.pem"/],
    ['[header]\nx = "a\\r\\nb"', /hosts\.toml: header\.x/],
    ['dial_timeout = "soon"', /hosts\.toml: dial_timeout: "soon"/],
    ['server = ', /hosts\.toml: .*: invalid argument$/],
  ];
  for (const [text, message] of wrong) {
    it(`refuses ${JSON.stringify(text)}`, async () => {
      await write('x.example.com', text);
      await assert.rejects(hosts('x.example.com'), message);
    });
  }
});
