// Layers into a chain of committed snapshots, side by side. Each is applied once, however many want it and in
// whichever namespace.
import { createHash } from 'node:crypto';
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import type { Scope } from '../leases/api.ts';
import { Failure, invalidArgument, isAlreadyExists, isNotFound } from '../lib/errors.ts';
import type { Labels } from '../lib/labels.ts';
import type { Limit } from '../lib/limit.ts';
import type { Logger } from '../lib/log.ts';
import type { Building, Chains, Settling, Snapshots } from '../snapshots/api.ts';
import type { Descriptor, ImageConfig, Manifest } from './documents.ts';
import { foreignChains } from './foreign-chains.ts';
import type { Jobs } from './jobs.ts';
import { together } from './together.ts';

export interface UnpackDeps {
  readonly content: Content;
  readonly diffs: Diffs;
  readonly snapshots: Snapshots;
  readonly jobs: Jobs;
  /** Layers of all images that are applied at the same time. */
  readonly limit: Limit;
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
const NO_SYNC = { sync: false };

interface Step {
  readonly name: string;
  readonly parent: string;
  readonly diffId: string;
  readonly layer: Descriptor;
  /** Of the snapshot. */
  readonly labels: Labels;
}

export function createUnpacker({ content, diffs, snapshots, jobs, limit, log }: UnpackDeps): Unpacker {
  async function label(namespace: string, digest: string, key: string, value: string): Promise<void> {
    if (content.info(namespace, digest).labels.get(key) === value) return;
    await content.update(namespace, digest, new Map([[key, value]]), [`labels.${key}`]);
  }

  /** Runs `work` with a new tree, which goes when that fails or has no use for it. */
  async function building(
    chains: Chains,
    { scope }: UnpackJob,
    { name, labels }: Step,
    parent: string,
    work: (tree: Building) => Promise<Settling | undefined>,
  ): Promise<Settling | undefined> {
    const tree = await chains.begin(scope, name, parent, labels);
    let made: Settling | undefined;
    try {
      made = await work(tree);
      return made;
    } finally {
      if (made === undefined) {
        await tree.discard().catch((failed: unknown) => {
          if (!isNotFound(failed)) log.warn('tree of a failed unpack not removed', { name, error: failed });
        });
      }
    }
  }

  /** Applies the layer where it belongs. */
  function apply(chains: Chains, job: UnpackJob, step: Step, signal: AbortSignal): Promise<Settling | undefined> {
    const { layer, parent } = step;
    return building(chains, job, step, parent, async (tree) => {
      const mounts = tree.mounts(parent);
      const applied = await limit(() => diffs.apply(job.scope.namespace, layer, mounts, NO_SYNC, signal), signal);
      check(step, applied.digest);
      return await tree.commit(parent, applied.usage);
    });
  }

  /** Applies the layer while those below it are not there yet; undefined when that does not give the same. */
  function applyLoose(chains: Chains, job: UnpackJob, step: Step, below: Promise<void>, signal: AbortSignal) {
    const { layer, parent } = step;
    return building(chains, job, step, '', async (tree) => {
      const mounts = tree.mounts('');
      const applied = await limit(() => diffs.applyLoose(job.scope.namespace, layer, mounts, signal), signal);
      if (applied === undefined) return undefined;
      check(step, applied.digest);
      await below;
      return (await applied.settle(tree.mounts(parent), signal)) ? await tree.commit(parent, applied.usage) : undefined;
    });
  }

  return async (job, signal) => {
    const { scope, manifest, config } = job;
    const { namespace } = scope;
    const snapshotter = snapshots.get(job.snapshotter);
    const chains = snapshotter.chains ?? foreignChains(snapshotter);
    // All layers are brought to disk together, in the end: in between that would hold up the next one.
    const ends: (() => Promise<void>)[] = [];

    /** The layer's snapshot is there. */
    async function obtain(step: Step, below: Promise<void>, joint: AbortSignal): Promise<Settling | undefined> {
      const { name, parent, labels } = step;
      const claim = () => chains.claim(scope, name, parent, labels);
      try {
        const known = chains.has(namespace, name);
        if (parent === '' && !known) return await apply(chains, job, step, joint);
        const early = chains.rebase && !known && !chains.has(namespace, parent);
        const loose = early ? await applyLoose(chains, job, step, below, joint) : undefined;
        await below;
        return loose ?? (await claim()) ?? (await apply(chains, job, step, joint));
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        return await claim();
      }
    }

    async function unpack(step: Step, below: Promise<void>, joint: AbortSignal): Promise<void> {
      const { layer, diffId, name } = step;
      await job.arrived(layer);
      if (!chains.has(namespace, name)) job.progress(layer, 'extracting');
      const work = async (): Promise<void> => {
        const made = await obtain(step, below, joint);
        if (made !== undefined) ends.push(() => made.settle());
      };
      const key = `${chains.shared ? '' : namespace} ${snapshotter.name} ${name}`;
      // Whoever waited claims what is there now, so that its lease holds it.
      while (!(await jobs.run(key, joint, work)));
      ends.push(() => label(namespace, layer.digest, UNCOMPRESSED, diffId));
      job.progress(layer, 'extracted');
    }

    const steps = stepsOf(manifest, config);
    const ready: Promise<void>[] = [];
    try {
      await together(
        signal,
        steps.map((step, at) => (joint) => {
          const below = ready[at - 1] ?? Promise.resolve();
          return (ready[at] = chains.rebase
            ? unpack(step, below, joint)
            : below.then(() => unpack(step, below, joint)));
        }),
      );
    } catch (error) {
      for (const end of ends) end().catch(() => undefined);
      throw error;
    }
    await Promise.all(ends.map((end) => end()));
    const top = steps.at(-1);
    if (top !== undefined) {
      await label(namespace, manifest.config.digest, `containerd.io/gc.ref.snapshot.${snapshotter.name}`, top.name);
    }
  };
}

/** Throws `failed precondition` for a layer that is not what the image's config says. */
function check({ layer, diffId }: Step, digest: string): void {
  if (digest === diffId) return;
  throw new Failure(
    'failed precondition',
    `layer ${layer.digest} unpacks to ${digest}, the image says ${diffId}: failed precondition`,
  );
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
    const step = { name, parent, diffId, layer, labels: new Map([[SNAPSHOT_REF, name]]) };
    parent = name;
    return step;
  });
}
