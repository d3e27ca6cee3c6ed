// Images from the command line: registries as people meet them, archives, history, prune.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { useDaemon } from '../harness/fixture.ts';
import { layeredImage, ociArchive } from '../harness/image.ts';
import {
  makeCertificate,
  seed,
  startRegistry,
  USER,
  type Certificate,
  type TestRegistry,
} from '../harness/registry.ts';
import { REPOSITORY, targetOf } from '../harness/target.ts';

const DAVIT = path.join(REPOSITORY, 'bin/davit');
const LIMIT_MS = 30_000;
const MOST_OUTPUT = 64 * 1024 * 1024;

(targetOf(process.env) === 'davit' ? describe : describe.skip)('davit and images', () => {
  const t = useDaemon();
  const folder = mkdtempSync('/tmp/davit-images-');
  const image = layeredImage();
  let certificate: Certificate;
  let registry: TestRegistry;
  let name: string;

  before(async () => {
    const data = path.join(folder, 'data');
    const open = await startRegistry({ folder: data });
    await seed(open.host, 'test/layered', '1', image);
    await open.stop();
    certificate = makeCertificate(folder, 'registry');
    registry = await startRegistry({ folder: data, tls: certificate, basic: true });
    name = `${registry.host}/test/layered:1`;
  });
  after(async () => {
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function davit(args: readonly string[], environment: Readonly<Record<string, string>> = {}, input?: Buffer) {
    const env = { ...process.env, DOCKER_CONFIG: path.join(folder, 'none'), ...environment };
    const prefix = ['--address', t.daemon.address, '--namespace', t.client.namespace];
    const { status, stdout, stderr } = spawnSync(DAVIT, [...prefix, ...args], {
      env,
      timeout: LIMIT_MS,
      input,
      maxBuffer: MOST_OUTPUT,
    });
    return { status, stdout: stdout.toString('utf8'), bytes: stdout, stderr: stderr.toString('utf8') };
  }

  const dockerConfig = (value: object): Record<string, string> => {
    const place = mkdtempSync(path.join(folder, 'docker-'));
    writeFileSync(path.join(place, 'config.json'), JSON.stringify(value));
    return { DOCKER_CONFIG: place };
  };
  const trust = (): string[] => ['--tlscacert', certificate.cert];

  it('says in one line what is missing: the authority, the credentials', () => {
    const untrusted = davit(['pull', name]);
    assert.equal(untrusted.status, 1);
    assert.match(
      untrusted.stderr,
      /^davit: .*certificate signed by an unknown authority .*--tlscacert.*: unavailable\n$/,
    );
    const unknown = davit(['pull', ...trust(), name]);
    assert.match(
      unknown.stderr,
      /^davit: .*401: .*credentials are missing or wrong \(configured by .*: unauthenticated\n$/,
    );
    const wrong = davit(['pull', ...trust(), '--user', 'alice:guess', name]);
    assert.match(wrong.stderr, /401/);
  });

  it('takes credentials from its flags, from docker login, and from helpers', () => {
    const pull = (environment = {}, ...flags: string[]) =>
      davit(['pull', '-q', ...trust(), ...flags, name], environment);
    assert.equal(pull({}, '--user', `${USER.username}:${USER.secret}`).stdout, `${name}\n`);
    const auth = Buffer.from(`${USER.username}:${USER.secret}`).toString('base64');
    assert.equal(pull(dockerConfig({ auths: { [registry.host]: { auth } } })).status, 0);
    const programs = path.join(folder, 'programs');
    mkdirSync(programs);
    const helper = path.join(programs, 'docker-credential-test');
    const answer = JSON.stringify({ Username: USER.username, Secret: USER.secret });
    writeFileSync(helper, `#!/bin/sh\nread host\n[ "$host" = ${registry.host} ] && echo '${answer}' || exit 1\n`);
    chmodSync(helper, 0o755);
    const PATH = `${programs}:${process.env['PATH'] ?? ''}`;
    assert.equal(pull({ ...dockerConfig({ credHelpers: { [registry.host]: 'test' } }), PATH }).status, 0);
    assert.equal(pull({ ...dockerConfig({ credsStore: 'test' }), PATH }).status, 0);
    const none = pull(dockerConfig({ credsStore: 'nothing' }));
    assert.match(none.stderr, /^davit: docker-credential-nothing: .*ENOENT/);
  });

  it('pushes under another name and prints what programs read', () => {
    const user = ['--user', `${USER.username}:${USER.secret}`];
    const other = `${registry.host}/cli/other:2`;
    const pushed = davit(['push', ...trust(), ...user, '--format', 'json', other, name]);
    assert.equal(pushed.status, 0, pushed.stderr);
    const { target } = JSON.parse(pushed.stdout) as { target: { digest: string } };
    assert.equal(target.digest, image.manifest.digest);
    const pulled = davit(['pull', ...trust(), ...user, other]);
    assert.match(pulled.stdout, /^manifest [0-9a-f]{12}: already exists/m);
    assert.ok(pulled.stdout.endsWith(`${other}@${image.manifest.digest}\n`));
  });

  it('loads and saves archives through pipes', () => {
    const loaded = davit(['load'], {}, ociArchive([image]));
    assert.equal(loaded.status, 0, loaded.stderr);
    const saved = davit(['save', 'test/layered']);
    assert.equal(saved.status, 0, saved.stderr);
    assert.equal(davit(['load'], {}, saved.bytes).status, 0);
  });

  it('shows the steps of an image, the last one first', () => {
    const shown = davit(['history', '--format', 'json', 'test/layered']);
    const steps = JSON.parse(shown.stdout) as { layer: string }[];
    assert.deepEqual(
      steps.map(({ layer }) => layer),
      image.layers.map(({ descriptor }) => descriptor.digest).toReversed(),
    );
  });

  it('prunes what no container was made from', () => {
    const kept = davit(['containers', 'create', 'test/layered', 'keeper', 'true']);
    assert.equal(kept.status, 0, kept.stderr);
    const pruned = davit(['images', 'prune', '--all']);
    assert.ok(pruned.stdout.includes(name) && !pruned.stdout.includes('docker.io/test/layered'));
    assert.equal(davit(['images', 'ls', '-q']).stdout, 'docker.io/test/layered:latest\n');
    davit(['containers', 'rm', 'keeper']);
  });

  it('finds images by the short forms of their names', () => {
    assert.equal(
      davit(['tag', 'test/layered', 'docker.io/library/short:latest']).stdout,
      'docker.io/library/short:latest\n',
    );
    assert.match(davit(['images', 'inspect', 'short']).stdout, /^docker\.io\/library\/short:latest\n/);
    assert.match(davit(['images', 'usage', 'absent']).stderr, /^davit: image "absent": not found\n/);
    assert.deepEqual(davit(['rmi', '-f', 'short', 'absent']).status, 0);
    assert.equal(davit(['images', 'ls', '-q']).stdout, 'docker.io/test/layered:latest\n');
  });
});
