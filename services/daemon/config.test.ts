import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'mocha';
import { Failure } from '../lib/errors.ts';
import { formatConfig, loadConfig } from './config.ts';
import { defaults } from './defaults.ts';

describe('configuration', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'davit-config-'));
  after(() => rmSync(folder, { recursive: true }));
  const none = path.join(folder, 'none.toml');

  function file(name: string, text: string): string {
    const full = path.join(folder, name);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
    return full;
  }

  const fails = (name: string, text: string, pattern: RegExp) =>
    assert.rejects(
      loadConfig(file(name, text), none, {}),
      (error) => error instanceof Failure && pattern.test(error.message),
    );

  it('is the defaults when there is no file', async () => {
    assert.deepEqual(await loadConfig(undefined, none, {}), defaults());
  });

  it('demands a file that was named', async () => {
    await assert.rejects(loadConfig(none, none, {}), /ENOENT/);
  });

  it('reads the file that dockerd writes for containerd, of version 1', async () => {
    const config = await loadConfig(
      file(
        'docker.toml',
        `disabled_plugins = ["io.containerd.grpc.v1.cri"]
         imports = []
         oom_score = 0
         root = "/var/lib/docker/containerd/daemon"
         state = "/var/run/docker/containerd/daemon"
         [grpc]
           address = "/var/run/docker/containerd/containerd.sock"
         [debug]
           address = "/var/run/docker/containerd/containerd-debug.sock"
           level = "warn"
         [plugins]
           [plugins.linux]
             shim_debug = true`,
      ),
      none,
      {},
    );
    assert.equal(config.grpc.address, '/var/run/docker/containerd/containerd.sock');
    assert.equal(config.debug.level, 'warn');
    assert.equal(config.grpc.max_recv_message_size, defaults().grpc.max_recv_message_size);
  });

  it('moves the server sections of version 4 to where they are here', async () => {
    const config = await loadConfig(
      file('v4.toml', 'version = 4\n[plugins."io.containerd.server.v1.grpc"]\naddress = "/x/y.sock"\n'),
      none,
      {},
    );
    assert.equal(config.grpc.address, '/x/y.sock');
  });

  it('lets imports beat the file, in order, and the command line beat both', async () => {
    file('conf.d/1.toml', 'root = "/one"\nstate = "/state-one"\n');
    file('conf.d/2.toml', 'root = "/two"\n');
    const main = file('main.toml', 'version = 3\nroot = "/main"\nimports = ["conf.d/*.toml", "main.toml"]\n');
    const config = await loadConfig(main, none, { address: '/flag.sock' });
    assert.equal(config.root, '/two');
    assert.equal(config.state, '/state-one');
    assert.equal(config.grpc.address, '/flag.sock');
  });

  it('keeps sections of plugins that are not davit’s', async () => {
    const config = await loadConfig(
      file('kept.toml', 'version = 3\n[plugins."io.containerd.nri.v1.nri"]\ndisable = true\n'),
      none,
      {},
    );
    assert.match(await formatConfig(config), /\[plugins\."io\.containerd\.nri\.v1\.nri"\]\ndisable = true/);
  });

  it('names file and key of what cannot be used', async () => {
    await fails(
      'type.toml',
      'version = 3\n[grpc]\naddress = 7\n',
      /type\.toml: grpc\.address must be a string, not a number/,
    );
    await fails('syntax.toml', 'root = \n', /syntax\.toml/);
    await fails('version.toml', 'version = 9\n', /version 9 is not known/);
    await fails('relative.toml', 'version = 3\nroot = "x"\n', /root must be an absolute path/);
    await fails('same.toml', 'version = 3\nroot = "/x"\nstate = "/x"\n', /root and state must be different/);
  });

  it('does not let a file reach the prototype of objects', async () => {
    await loadConfig(file('proto.toml', '[__proto__]\npolluted = true\n'), none, {});
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('prints what it reads', async () => {
    const printed = file('printed.toml', await formatConfig(defaults()));
    assert.deepEqual(await loadConfig(printed, none, {}), defaults());
  });
});
