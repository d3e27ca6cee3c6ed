import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { bars, type Part } from './bars.ts';

const part = (key: string, more: Partial<Part> = {}): Part => ({
  key,
  label: `layer ${key}`,
  event: 'downloading',
  done: 5 * 1024,
  total: 10 * 1024,
  last: false,
  measured: true,
  ...more,
});

/** What a terminal of this size shows after all that was written to it: no wrapping is expected. */
class Screen {
  readonly isTTY = true;
  columns = 80;
  rows = 24;
  text = '';
  write(text: string): void {
    this.text += text;
  }
  /** Lines of the last drawing, and how far it went up before. */
  last(): { readonly up: number; readonly lines: string[] } {
    const at = this.text.lastIndexOf('\u001B[J');
    const up = /\u001B\[(\d+)A\r\u001B\[J$/.exec(this.text.slice(0, at + 3))?.[1] ?? '0';
    const drawn = at < 0 ? this.text : this.text.slice(at + 3);
    return { up: Number(up), lines: drawn.split('\n').slice(0, -1) };
  }
}

describe('bars', () => {
  it('fit the terminal, however narrow', () => {
    for (const columns of [40, 60, 80, 200]) {
      const screen = Object.assign(new Screen(), { columns });
      const shown = bars(screen);
      shown.part(part('0123456789ab'));
      shown.end();
      const [line = ''] = screen.last().lines;
      assert.ok(line.length < columns, `${columns}: ${line}`);
      assert.match(line, columns >= 80 ? /\[=+ +\] 5\.0 KiB \/ 10\.0 KiB$/ : /^layer 0123456789ab +downloading/);
    }
  });

  it('show what is under way when there are more than lines', () => {
    const screen = Object.assign(new Screen(), { rows: 10 });
    const shown = bars(screen);
    for (let i = 0; i < 50; i++) shown.part(part(`p${i}`, { last: i < 30 }));
    shown.end();
    const { lines } = screen.last();
    assert.equal(lines.length, 7);
    assert.match(lines[0] ?? '', /^layer p30/);
    assert.equal(lines.at(-1), '30 of 50 done, 14 more under way');
  });

  it('go up by what a terminal that became narrower makes of them', async () => {
    const screen = new Screen();
    const shown = bars(screen);
    shown.part(part('a'));
    shown.part(part('b'));
    await sleep(150);
    const drawn = screen.last().lines;
    screen.columns = 50;
    shown.end();
    assert.equal(
      screen.last().up,
      drawn.reduce((sum, line) => sum + Math.ceil(line.length / 50), 0),
    );
    assert.equal(screen.last().lines.length, 2);
  });

  it('are lines where there is no terminal, each once', () => {
    const written: string[] = [];
    const shown = bars({ write: (text) => written.push(text) });
    shown.status('pulling');
    for (const last of [false, true, true]) shown.part(part('a', { last, event: last ? 'complete' : 'downloading' }));
    shown.end();
    assert.deepEqual(written, ['layer a: complete (10.0 KiB)\n']);
  });
});
