// What refers to an image in its registry, as an index.
import { Readable } from 'node:stream';
import type { RegistryPlace, Transfers } from './api.ts';
import { indexOf } from './registry/referrers.ts';
import type { OpenRepository } from './repositories.ts';

export function createReferrers(open: OpenRepository): Transfers['referrers'] {
  return async (from: RegistryPlace, send, signal) => {
    const { repository } = open(from);
    try {
      const { digest } = await repository.resolve(signal);
      const index = Buffer.from(JSON.stringify(indexOf(await repository.referrers(digest, signal))));
      await send(Readable.from([index]));
    } finally {
      repository.close();
    }
  };
}
