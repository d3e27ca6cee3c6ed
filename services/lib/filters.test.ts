import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { kindOf } from './errors.ts';
import { mapField, parseFilters, type Adaptor } from './filters.ts';

const LABELS = new Map([
  ['kind', 'web'],
  ['a.b/c', 'x,y'],
  ['__proto__', 'deep'],
  ['quote', 'say "hi"'],
]);

const object: Adaptor = (fieldpath) => {
  switch (fieldpath[0]) {
    case 'name':
      return 'docker.io/library/busybox:1.36';
    case 'empty':
      return '';
    case 'topic':
      return '/tasks/exit';
    case 'labels':
      return mapField(LABELS, fieldpath);
    default:
      return undefined;
  }
};

const matches = (...filters: string[]): boolean => parseFilters(filters)(object);

describe('filters', () => {
  for (const [filter, expected] of [
    ['', true],
    ['name', true],
    ['nothing', false],
    ['empty', true],
    ['empty==""', true],
    ['nothing==""', false],
    ['nothing!=x', true],
    ['nothing!=""', false],
    ['name==docker.io/library/busybox:1.36', true],
    ['name==busybox', false],
    ['name!=busybox', true],
    ['name~=busybox', true],
    ['name~=^busybox', false],
    ['name ~= /1\\\\.36$/', true],
    ['name ~= |library/|', true],
    ['topic~=|^/tasks/|', true],
    ['topic~=/^\\/tasks\\//', true],
    ['nothing~=^$', true],
    ['name~=(unclosed', false],
    ['name~=(?i)BUSYBOX', true],
    ['labels.kind==web', true],
    ['labels."kind"==web', true],
    ['labels.kind == "web"', true],
    ['labels."a.b/c"=="x,y"', true],
    ['labels."a.b/c"==x', false],
    ['labels.__proto__==deep', true],
    ['labels.constructor', false],
    ['labels.quote=="say \\"hi\\""', true],
    ['labels.kind=="\\x77\\145\\u0062"', true],
    ['labels.kind=="\\U00000077eb"', true],
    ['name,labels.kind==web', true],
    ['name,labels.kind==db', false],
    ["labels.kind!='web'", true],
  ] as const) {
    it(`${filter || '(empty)'} is ${String(expected)}`, () => assert.equal(matches(filter), expected));
  }

  it('matches when one of several does', () => {
    assert.equal(matches('name==x', 'labels.kind==web'), true);
    assert.equal(matches('name==x', 'labels.kind==db'), false);
    assert.equal(matches(), true);
  });

  for (const [filter, place] of [
    ['foo,', '[foo,]: expected field or quoted'],
    ['foo.', '[foo.]: expected field or quoted'],
    ['=x', '[ >|=|< x]: expected field or quoted'],
    ['foo=bar', '[foo >|=|< bar]: unsupported operator "="'],
    ['foo==', '[foo==]: expected value or quoted'],
    ['foo==,bar', '[foo== >|,|< bar]: expected value or quoted'],
    ['foo=="bar', '[foo== >|"|< bar]: quoted literal not terminated'],
    ['foo==/bar/', '[foo== >|/|< bar/]: invalid quote encountered'],
    ['foo=="\\q"', '[foo== >|"|< \\q"]: illegal escape sequence'],
    ['foo=="\\x4"', '[foo== >|"|< \\x4"]: illegal numeric escape sequence'],
    ['foo=="\\400"', '[foo== >|"|< \\400"]: unquoting failed: quote syntax error'],
    ['foo==bar baz', '[foo==bar >| |< baz]: unexpected input:  '],
    ['foo bar', '[foo  >|b|< ar]: expected an operator ("=="|"!="|"~=")'],
    ['foo ', '[foo ]: expected an operator ("=="|"!="|"~=")'],
    ['foo==\0', '[foo== >|\0|< ]: unexpected null'],
  ] as const) {
    it(`refuses ${JSON.stringify(filter)}`, () => {
      assert.throws(
        () => parseFilters([filter]),
        (error: Error) => {
          assert.equal(kindOf(error), 'invalid argument');
          assert.equal(error.message, `filters: parse error: ${place}: invalid argument`);
          return true;
        },
      );
    });
  }

  it('takes any key and value when quoted', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (key, value) => {
        const filter = parseFilters([`labels.${quote(key)}==${quote(value)}`]);
        const adaptor =
          (labels: ReadonlyMap<string, string>): Adaptor =>
          (path) =>
            mapField(labels, path);
        assert.equal(filter(adaptor(new Map([[key, value]]))), true);
        assert.equal(filter(adaptor(new Map([[key, `${value}.`]]))), false);
      }),
    );
  });

  it('either parses or says what is wrong, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab.,=!~"/|\\ \n01xu') }), (text) => {
        try {
          parseFilters([text])(object);
        } catch (error) {
          assert.equal(kindOf(error), 'invalid argument');
        }
      }),
    );
  });

  it('takes linear time for ~=', () => {
    const started = performance.now();
    assert.equal(
      parseFilters(['name~=^(a+)+$'])(() => `${'a'.repeat(50_000)}!`),
      false,
    );
    assert.ok(performance.now() - started < 2000);
  });
});

function quote(text: string): string {
  const escaped = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '"' || character === '\\') return `\\${character}`;
    return code < 32 || code === 0xfffd ? `\\u${code.toString(16).padStart(4, '0')}` : character;
  });
  return `"${escaped.join('')}"`;
}
