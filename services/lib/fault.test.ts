import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { fault, parseFaults } from './fault.ts';

describe('fault points', () => {
  it('do nothing when nobody asked for them', () => {
    assert.equal(fault('metadata.batch.before-write'), undefined);
  });

  it('fail by name', async () => {
    const actions = parseFaults('a.b=fail,c.d=stall:1');
    await assert.rejects(actions.get('a.b')?.() ?? Promise.resolve(), /fault point "a\.b" was told to fail: internal$/);
    await actions.get('c.d')?.();
  });

  it("leave the shim's to the shim", () => {
    assert.deepEqual([...parseFaults('shim.create.x=die,a=die,,').keys()], ['a']);
  });

  for (const bad of ['a', 'a=', 'a=explode', 'a=stall', 'a=stall:x'])
    it(`refuse ${bad}`, () => {
      assert.throws(() => parseFaults(bad), /use die, fail or stall/);
    });
});
