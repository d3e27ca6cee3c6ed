import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { compactJson, jsonText, plain, withoutZeros } from './json.ts';
import { NARROW, TABBED, WIDE, table } from './table.ts';
import { age, binarySize, decimalSize, goTime, rfc3339, rfc3339Nano } from './units.ts';

const at = (milliseconds: number) => ({ seconds: String(Math.floor(milliseconds / 1000)), nanos: 0 });

describe('output', () => {
  it('aligns as ctr does', () => {
    assert.equal(table(['NAME', 'LABELS'], [['default', '']], NARROW), 'NAME    LABELS \ndefault        \n');
    assert.equal(
      table(['TASK', 'PID', 'STATUS'], [['c1', '29858', 'RUNNING']], WIDE, { lastPadded: false }),
      'TASK    PID      STATUS    \nc1      29858    RUNNING\n',
    );
    assert.equal(
      table(['REF', 'SIZE', 'AGE', ''], [['abc', '0B', 'About a minute', '']], TABBED, {
        headerPadded: false,
        lastPadded: false,
      }),
      'REF\tSIZE\tAGE\t\t\nabc\t0B\tAbout a minute\t\n',
    );
    assert.equal(
      table(
        ['A', 'B'],
        [
          ['ä', 'x'],
          ['öö', 'y'],
        ],
        NARROW,
      ),
      'A  B \nä  x \nöö y \n',
    );
  });

  it('words sizes and ages', () => {
    assert.deepEqual([0, 1023, 1024, 1990656].map(binarySize), ['0.0 B', '1023.0 B', '1.0 KiB', '1.9 MiB']);
    assert.deepEqual([0, 714, 2158, 1085000, 2000384].map(decimalSize), ['0B', '714B', '2.158kB', '1.085MB', '2MB']);
    const now = Date.UTC(2026, 0, 2);
    const ages = [0.2, 1, 59, 60, 119, 120, 3600, 7200, 172800, 1209600].map((seconds) =>
      age(at(now - Math.floor(seconds) * 1000), now),
    );
    assert.deepEqual(ages, [
      'Less than a second',
      '1 second',
      '59 seconds',
      'About a minute',
      'About a minute',
      '2 minutes',
      'About an hour',
      '2 hours',
      '2 days',
      '2 weeks',
    ]);
  });

  it('words times', () => {
    const time = { seconds: '1795226244', nanos: 732474410 };
    assert.equal(rfc3339Nano(time), '2026-11-21T01:57:24.73247441Z');
    assert.equal(rfc3339(time), '2026-11-21T01:57:24Z');
    assert.equal(goTime(time), '2026-11-21 01:57:24.73247441 +0000 UTC');
    assert.equal(rfc3339(null), '0001-01-01T00:00:00Z');
  });

  it('prints messages as JSON with exact numbers', () => {
    const message = {
      size: '9223372036854771712',
      digest: 'sha256:1',
      at: { seconds: '0', nanos: 0 },
      data: Buffer.from('hi'),
      labels: {},
      none: null,
    };
    assert.equal(
      compactJson(plain(message)),
      '{"size":9223372036854771712,"digest":"sha256:1","at":"1970-01-01T00:00:00Z","data":"aGk=","labels":{},"none":null}',
    );
    assert.equal(
      compactJson(withoutZeros(plain(message))),
      '{"size":9223372036854771712,"digest":"sha256:1","at":"1970-01-01T00:00:00Z","data":"aGk="}',
    );
    assert.equal(jsonText({ a: [1n], b: {} }), '{\n    "a": [\n        1\n    ],\n    "b": {}\n}\n');
  });
});
