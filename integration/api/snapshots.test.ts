// The snapshotters' conformance suite, over the socket.
import { randomBytes } from 'node:crypto';
import { useDaemon } from '../harness/fixture.ts';
import { snapshotterSuite } from '../../services/snapshots/testing/suite.ts';
import { remoteSnapshotter } from './remote-snapshotter.ts';

describe('snapshots', () => {
  const fixture = useDaemon();
  // containerd 1.6 knows neither Cleanup nor another parent at commit.
  const davit = fixture.target === 'davit';
  for (const [name, rebase] of [
    ['overlayfs', davit],
    ['native', false],
  ] as const) {
    snapshotterSuite(name, { rebase, cleanup: davit, classified: davit }, () => {
      const client = fixture.newConnection();
      return Promise.resolve({
        subject: remoteSnapshotter(client, name),
        async makeLease(namespace) {
          const { lease } = await client.leases.Create({ id: randomBytes(8).toString('hex') }, { namespace });
          return lease?.id;
        },
        close: () => Promise.resolve(),
      });
    });
  }
});
