// Layers into a chain of committed snapshots. Each is applied once, however many want it.
import { createHash, randomBytes } from 'node:crypto';
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure, invalidArgument, isAlreadyExists, isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Snapshots, Snapshotter } from '../snapshots/api.ts';
import type { Descriptor, ImageConfig, Manifest } from './documents.ts';
import type { Jobs } from './jobs.ts';

export interface UnpackDeps {
  readonly content: Content;
  readonly diffs: Diffs;
  readonly snapshots: Snapshots;
  readonly jobs: Jobs;
  readonly log: Logger;
}

export interface UnpackJob {
  readonly scope: Scope;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  readonly snapshotter: string;
  /** Resolves when the layer's blob is in the content store. */
  arrived(layer: Descriptor): Promise<void>;
  progress(layer: Descriptor, state: 'extracting' | 'extracted'): void;
}

export type Unpacker = (job: UnpackJob, signal: AbortSignal) => Promise<void>;

const SNAPSHOT_REF = 'containerd.io/snapshot.ref';
const UNCOMPRESSED = 'containerd.io/uncompressed';

interface Step {
  readonly name: string;
  readonly parent: string;
  readonly diffId: string;
  readonly layer: Descriptor;
}

export function createUnpacker({ content, diffs, snapshots, jobs, log }: UnpackDeps): Unpacker {
  /** Snapshots that are not on disk yet, whoever made them. */
  const settling = new Map<string, () => Promise<void>>();

  /**
   * The layer's snapshot can be built upon; resolves with what brings it to disk. Throws `already exists` when
   * it is there; the lease then holds it.
   */
  async function apply(snapshotter: Snapshotter, job: UnpackJob, step: Step, signal: AbortSignal) {
    const { scope } = job;
    const { layer, name } = step;
    const labels = new Map([[SNAPSHOT_REF, name]]);
    const key = `extract-${process.hrtime.bigint()}-${randomBytes(3).toString('base64url')} ${name}`;
    const mounts = await snapshotter.prepare(scope, key, step.parent, labels);
    try {
      job.progress(layer, 'extracting');
      const { digest } = await diffs.apply(scope.namespace, layer, mounts, { sync: false }, signal);
      if (digest !== step.diffId) {
        throw new Failure(
          'failed precondition',
          `layer ${layer.digest} unpacks to ${digest}, the image says ${step.diffId}: failed precondition`,
        );
      }
      return await snapshotter.commitEarly(scope, name, key, '', labels);
    } catch (error) {
      await snapshotter.remove(scope, key).catch((failed: unknown) => {
        if (!isNotFound(failed)) log.warn('snapshot of a failed unpack not removed', { key, error: failed });
      });
      throw error;
    }
  }

  async function label(namespace: string, digest: string, key: string, value: string): Promise<void> {
    if (content.info(namespace, digest).labels.get(key) === value) return;
    await content.update(namespace, digest, new Map([[key, value]]), [`labels.${key}`]);
  }

  return async (job, signal) => {
    const { scope, manifest, config } = job;
    const { namespace } = scope;
    const snapshotter = snapshots.get(job.snapshotter);
    // All layers are brought to disk together, in the end: in between that would hold up the next one.
    const ends: (() => Promise<void>)[] = [];
    const applyAll = async (): Promise<void> => {
      for (const step of stepsOf(manifest, config)) {
        await job.arrived(step.layer);
        const key = `${namespace} ${snapshotter.name} ${step.name}`;
        const once = async (): Promise<void> => {
          try {
            const { settle } = await apply(snapshotter, job, step, signal);
            settling.set(
              key,
              callOnce(() => settle().finally(() => settling.delete(key))),
            );
          } catch (error) {
            if (!isAlreadyExists(error)) throw error;
          }
        };
        const mine = await jobs.run(key, signal, once);
        // So that our lease holds it, too.
        if (!mine) await once();
        const settle = settling.get(key);
        if (settle !== undefined) ends.push(settle);
        ends.push(() => label(namespace, step.layer.digest, UNCOMPRESSED, step.diffId));
        job.progress(step.layer, 'extracted');
      }
    };
    try {
      await applyAll();
    } catch (error) {
      for (const end of ends) end().catch(() => undefined);
      throw error;
    }
    await Promise.all(ends.map((end) => end()));
    const top = stepsOf(manifest, config).at(-1);
    if (top !== undefined) {
      await label(namespace, manifest.config.digest, `containerd.io/gc.ref.snapshot.${snapshotter.name}`, top.name);
    }
  };
}

/** The first call does the work, the others wait for it. */
function callOnce(work: () => Promise<void>): () => Promise<void> {
  let called: Promise<void> | undefined;
  return () => (called ??= work());
}

/** A layer's snapshot is named after all layers up to it. */
function stepsOf({ layers, config: { digest } }: Manifest, { diffIds }: ImageConfig): Step[] {
  if (diffIds.length !== layers.length) {
    throw invalidArgument(`config ${digest}: ${diffIds.length} diff ids for ${layers.length} layers`);
  }
  let parent = '';
  return layers.map((layer, at) => {
    const diffId = diffIds[at] as string;
    const name = parent === '' ? diffId : `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`;
    const step = { name, parent, diffId, layer };
    parent = name;
    return step;
  });
}
