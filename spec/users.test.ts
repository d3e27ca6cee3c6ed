// Whatever an image's passwd and group files hold, and whatever it calls its user.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { processUser, type UserFiles } from './users.ts';

const SEED = { seed: 20_241_118, numRuns: 2000 };
const MAX_ID = 2 ** 31 - 1;

const field = fc.oneof(
  fc.constantFrom('root', 'user', '0', '1000', '4294967296', '2147483648', '-1', '0x0', '1e0', ' 0', '', '٠', '+0'),
  fc.string({ maxLength: 6 }),
);
const line = fc.array(field, { maxLength: 8 }).map((fields) => fields.join(':'));
const file = fc.array(line, { maxLength: 6 }).map((lines) => lines.join('\n'));
const filesOf = (passwd: string, group: string): UserFiles => ({
  passwd: () => Promise.resolve(passwd),
  group: () => Promise.resolve(group),
});
const resolved = async (
  user: string,
  files: UserFiles,
): Promise<{ uid: number; gid: number; all: number[] } | undefined> => {
  try {
    const { uid, gid, additionalGids = [] } = await processUser(user, files);
    return { uid, gid, all: [uid, gid, ...additionalGids] };
  } catch (error) {
    assert.ok(error instanceof Error && error.message !== '');
    return undefined;
  }
};

describe('spec: users of untrusted images', () => {
  it('gives ids in range, with the primary group among the groups, or none', () =>
    fc.assert(
      fc.asyncProperty(fc.oneof(field, line), file, file, async (user, passwd, group) => {
        const found = await resolved(user, filesOf(passwd, group));
        if (found === undefined) return;
        for (const id of found.all) assert.ok(Number.isInteger(id) && id >= 0 && id <= MAX_ID, String(id));
        assert.equal(found.all[2], found.gid);
      }),
      SEED,
    ));

  it('never takes a number for a name', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: MAX_ID }), file, async (uid, group) => {
        const files = filesOf(`${uid}:x:0:0::/:\nother:x:${uid}:7::/:\n`, group);
        assert.equal((await resolved(String(uid), files))?.uid, uid);
      }),
      SEED,
    ));
});
