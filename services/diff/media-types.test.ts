import assert from 'node:assert/strict';
import { kindOf } from '../lib/errors.ts';
import { mayBeCompressed, writtenCompression } from './media-types.ts';

const refused = (work: () => unknown, text: RegExp): void =>
  assert.throws(work, (error: Error) => kindOf(error) === 'not implemented' && text.test(error.message));

describe('media types of layers', () => {
  it('knows which may be compressed', () => {
    assert.equal(mayBeCompressed('application/vnd.oci.image.layer.v1.tar'), false);
    for (const type of [
      'application/vnd.oci.image.layer.v1.tar+gzip',
      'application/vnd.oci.image.layer.v1.tar+zstd',
      'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      'application/vnd.docker.image.rootfs.diff.tar',
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    ]) {
      assert.equal(mayBeCompressed(type), true, type);
    }
  });

  it('refuses what is no layer, and encrypted ones', () => {
    for (const type of [
      '',
      'text/plain',
      'application/vnd.oci.image.layer.v1.tar+gzip+encrypted',
      'application/vnd.oci.image.layer.v1.tar+brotli',
      'application/vnd.docker.image.rootfs.diff.tar.gzip+encrypted',
    ]) {
      refused(() => mayBeCompressed(type), /no processor for media-type: not implemented$/);
    }
  });

  it('writes OCI layers', () => {
    assert.equal(writtenCompression('application/vnd.oci.image.layer.v1.tar+zstd'), 'zstd');
    refused(
      () => writtenCompression('application/vnd.docker.image.rootfs.diff.tar.gzip'),
      /unsupported diff media type: .*: not implemented$/,
    );
  });
});
