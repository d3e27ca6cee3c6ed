// Layers applied with nothing known of what will be below them, and whether the result is what they would be there.
import { lstat } from 'node:fs/promises';
import { kindOf } from '../lib/errors.ts';
import type { Place } from './place.ts';
import type { Applied, ApplyJob, LayerTools } from './tools.ts';

/** As a place that nothing is known below of. */
export function loosePlace(folder: string): Place {
  return { folder, overlay: { lower: [], userXattr: false } };
}

/** Undefined: it could not be applied there. Throws where it cannot be applied anywhere. */
export async function applyAlone(tools: LayerTools, job: ApplyJob, signal: AbortSignal): Promise<Applied | undefined> {
  try {
    return await tools.apply(job, signal);
  } catch (error) {
    if (signal.aborted || kindOf(error) !== 'unknown') throw error;
    return undefined;
  }
}

/**
 * Makes `folder`, applied in a loose place, what it would be had it been applied in `place`. False: it cannot be,
 * the layer is to be applied there.
 */
export async function settleLoose(
  tools: LayerTools,
  folder: string,
  applied: Applied,
  { overlay }: Place,
  signal: AbortSignal,
): Promise<boolean> {
  if (overlay === undefined) return applied.marked === 0;
  if (overlay.userXattr && applied.marked > 0) return false;
  if (overlay.lower.length === 0) return true;
  return applied.deferred !== undefined && (await tools.settle(folder, applied.deferred, overlay, signal));
}

/** The top folder of a tree has to look like that of the one below it. */
export async function sameOwner(folder: string, lower: string): Promise<boolean> {
  const [top, below] = await Promise.all([lstat(folder), lstat(lower)]);
  return top.uid === below.uid && top.gid === below.gid;
}
