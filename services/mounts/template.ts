// The templates of mounts of the type `format/...`: what earlier mounts became is filled in.
//
//   {{ source 0 }} {{ target 0 }}   of the first mount
//   {{ mount 0 }}                   where it is mounted
//   {{ overlay 0 2 }}               where mounts 0 to 2 are, joined by colons; also from the last to the first
import { invalidArgument } from '../lib/errors.ts';
import type { Mount } from '../lib/mount.ts';
import type { ActiveMount } from './api.ts';

/** Throws `invalid argument` for what is no such template, and for mounts that are not there. */
export function format(mount: Mount, active: readonly ActiveMount[]): Mount {
  const fill = (text: string): string => fillIn(text, active);
  return { ...mount, source: fill(mount.source), target: fill(mount.target), options: mount.options.map(fill) };
}

const ACTION = /\{\{(.*?)\}\}/gs;

function fillIn(text: string, active: readonly ActiveMount[]): string {
  if (!text.includes('{{')) return text;
  const filled = text.replace(ACTION, (_whole, action: string) => value(action.trim().split(/\s+/), active));
  if (text.replace(ACTION, '').includes('{{')) throw invalidArgument(`template ${JSON.stringify(text)} has no end`);
  return filled;
}

function value([word = '', ...numbers]: readonly string[], active: readonly ActiveMount[]): string {
  const indexes = numbers.map((number) => {
    if (!/^-?\d+$/.test(number)) throw invalidArgument(`template argument ${JSON.stringify(number)} is no number`);
    return Number(number);
  });
  const [first, last] = indexes;
  const count = word === 'overlay' ? 2 : 1;
  if (first === undefined || indexes.length !== count) {
    throw invalidArgument(`template action ${JSON.stringify([word, ...numbers].join(' '))} is not known`);
  }
  switch (word) {
    case 'source':
      return at(active, first).mount.source;
    case 'target':
      return at(active, first).mount.target;
    case 'mount':
      return at(active, first).mountPoint;
    case 'overlay': {
      const to = last ?? first;
      const step = first <= to ? 1 : -1;
      const points: string[] = [];
      for (const end of [first, to]) at(active, end);
      for (let index = first; index !== to + step; index += step) points.push(at(active, index).mountPoint);
      return points.join(':');
    }
    default:
      throw invalidArgument(`template function ${JSON.stringify(word)} is not defined`);
  }
}

function at(active: readonly ActiveMount[], index: number): ActiveMount {
  const found = index < 0 ? undefined : active[index];
  if (found !== undefined) return found;
  throw invalidArgument(`index out of bounds: ${index}, has ${active.length} active mounts`);
}
