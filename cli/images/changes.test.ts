import assert from 'node:assert/strict';
import { changedConfig } from './changes.ts';
import { words } from './words.ts';

const BASE = { Env: ['PATH=/bin', 'A=1'], Cmd: ['sh'], Entrypoint: ['/init'], WorkingDir: '/srv', Labels: { a: 'x' } };
const after = (...changes: readonly string[]) => changedConfig(BASE, changes);

describe('changes of an image', () => {
  it('sets commands, as a list or for the shell', () => {
    assert.deepEqual(after('CMD ["a", "b c"]')['Cmd'], ['a', 'b c']);
    assert.deepEqual(after('cmd echo $A').Cmd, ['/bin/sh', '-c', 'echo $A']);
    assert.deepEqual(after('SHELL ["/bin/bash", "-ec"]', 'CMD x').Cmd, ['/bin/bash', '-ec', 'x']);
  });

  it('drops the arguments of the entry point that it replaces, unless new ones were given', () => {
    assert.deepEqual([after('ENTRYPOINT ["/e"]').Entrypoint, after('ENTRYPOINT ["/e"]').Cmd], [['/e'], undefined]);
    assert.deepEqual(after('CMD ["c"]', 'ENTRYPOINT ["/e"]').Cmd, ['c']);
  });

  it('adds to environment, labels, ports and volumes', () => {
    assert.deepEqual(after(`ENV A=2 B="b b" C='$A' D=$PATH:/x`).Env, [
      'PATH=/bin',
      'A=2',
      'B=b b',
      'C=$A',
      'D=/bin:/x',
    ]);
    assert.deepEqual(after('ENV OLD the older form').Env, ['PATH=/bin', 'A=1', 'OLD=the older form']);
    assert.deepEqual(after('LABEL b="c d" e=').Labels, { a: 'x', b: 'c d', e: '' });
    assert.deepEqual(after('EXPOSE 80 53/UDP').ExposedPorts, { '80/tcp': {}, '53/udp': {} });
    assert.deepEqual(after('VOLUME ["/a b"]', 'VOLUME /c /d').Volumes, { '/a b': {}, '/c': {}, '/d': {} });
  });

  it('sets user, signal and a working directory that may be relative', () => {
    const config = after('USER 1:2', 'STOPSIGNAL SIGINT', 'WORKDIR sub', 'WORKDIR ../other', 'ONBUILD RUN make');
    assert.deepEqual([config.User, config.StopSignal, config.WorkingDir], ['1:2', 'SIGINT', '/srv/other']);
    assert.deepEqual(config.OnBuild, ['RUN make']);
  });

  it('keeps health checks in nanoseconds', () => {
    assert.deepEqual(after('HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost').Healthcheck, {
      Test: ['CMD-SHELL', 'curl -f http://localhost'],
      Interval: 90_000_000_000,
      Retries: 3,
    });
    assert.deepEqual(after('HEALTHCHECK NONE').Healthcheck, { Test: ['NONE'] });
  });

  it('refuses what is no such instruction, with its text', () => {
    for (const change of [
      'COPY a b',
      'ENV',
      'EXPOSE http',
      'HEALTHCHECK --x=1 CMD a',
      'SHELL bash',
      'ONBUILD FROM x',
      '',
    ])
      assert.throws(() => after(change), { message: new RegExp(`^change "${change}": `) });
  });
});

describe('words', () => {
  it('are split, unquoted and expanded as in a Dockerfile', () => {
    const split = (text: string): string[] => words(text, (name) => ({ A: '1', EMPTY: '' })[name]);
    assert.deepEqual(split(String.raw`a\ b "c \"d\" \n" 'e $A' f"g"h ""`), [
      'a b',
      String.raw`c "d" \n`,
      'e $A',
      'fgh',
      '',
    ]);
    assert.deepEqual(split('$A ${A}x ${EMPTY:-d} ${A:+y} ${NONE}z $'), ['1', '1x', 'd', 'y', 'z', '$']);
  });
});
