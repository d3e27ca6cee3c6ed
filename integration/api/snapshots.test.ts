// The snapshotters' conformance suite, over the socket.
import { randomBytes } from 'node:crypto';
import { createBtrfsDisk, withoutBtrfs } from '../../services/snapshots/testing/btrfs.ts';
import { useDaemon } from '../harness/fixture.ts';
import { snapshotterSuite } from '../../services/snapshots/testing/suite.ts';
import { remoteSnapshotter } from './remote-snapshotter.ts';

describe('snapshots', () => {
  const disk = createBtrfsDisk();
  const missing = withoutBtrfs();
  if (missing === undefined) before('make a btrfs', () => disk.mount());
  const fixture = useDaemon({ config: `[plugins."io.containerd.snapshotter.v1.btrfs"]\nroot_path = "${disk.path}"\n` });
  if (missing === undefined) after('remove the btrfs', () => disk.remove());
  // containerd 1.6 knows neither Cleanup nor another parent at commit.
  const davit = fixture.target === 'davit';
  for (const [name, rebase] of [
    ['overlayfs', davit],
    ['native', false],
    // containerd 1.6 has no erofs, and makes its btrfs ready for a root that is on btrfs altogether.
    ...(davit ? ([['erofs', true]] as const) : []),
    ...(davit && missing === undefined ? ([['btrfs', false]] as const) : []),
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
