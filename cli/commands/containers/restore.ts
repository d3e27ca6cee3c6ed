import type { Client } from '../../../client/connect.ts';
import { ClientError, isNotFound } from '../../../client/errors.ts';
import { hostPlatform } from '../../../client/images/platform.ts';
import { chainIds, imageTarget, readImage } from '../../../client/images/resolve.ts';
import { withLease } from '../../../client/lease.ts';
import type { Mount } from '../../../proto/gen/containerd.types.ts';
import { parseJson } from '../../../spec/json.ts';
import type { Spec } from '../../../spec/types.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { readCheckpoint, type Checkpoint } from '../../run/checkpoint.ts';
import { runTask, taskFlags } from '../../run/task.ts';

export const command = define({
  usage: '[flags] CONTAINER REF',
  description: `Creates a container from a checkpoint and starts it: anew, or with --live where it was. Its base
image must be there; no image is made or renamed. The spec is the checkpoint's: restore none that you would not
run; folders of the host are mounted only with --host-mounts.`,
  flags: {
    rw: flag.switch({ help: 'restore what the container had written' }),
    live: flag.switch({ help: 'restore the processes and go on' }),
    'host-mounts': flag.switch({ help: "allow the checkpoint's mounts of the host's files" }),
    ...taskFlags,
  },
  examples: ['davit containers restore --live --rw -d web-2 example.com/web-saved:1'],
  async run(context, flags, [first, second]) {
    const id = required(first, 'container id');
    const root = await context.client();
    const saved = await readCheckpoint(root, required(second, 'checkpoint ref'));
    if (flags.live && saved.processes === undefined) throw missing(second, 'no processes; it was made without --task');
    if (flags.rw && saved.layer === undefined) throw missing(second, 'no writable layer; it was made without --rw');
    const spec = parseJson(saved.spec.value.toString('utf8')) as Spec;
    if (!flags['host-mounts']) refuseHostMounts(spec);
    const mounts = await withLease(root, (client) => create(client, id, saved, flags.rw));
    const outcome = await runTask(root, {
      container: id,
      terminal: spec.process?.terminal ?? false,
      mounts,
      noPivot: false,
      checkpoint: flags.live ? saved.processes : undefined,
      flags,
    });
    return outcome === undefined || outcome.kind === 'detached' ? 0 : outcome.status;
  },
});

function missing(name: string | undefined, what: string): ClientError {
  return new ClientError('not found', `checkpoint "${name ?? ''}": ${what}`);
}

/** A checkpoint may be anybody's: what it would show its processes of this machine is said first (CVE-2024-8676). */
function refuseHostMounts(spec: Spec): void {
  const bound = (spec.mounts ?? []).filter(({ options }) => options?.some((each) => /^r?bind$/.test(each)));
  if (bound.length === 0) return;
  const list = bound.map(({ source, destination }) => `${source ?? ''} at ${destination}`).join(', ');
  throw new ClientError('permission denied', `the checkpoint mounts ${list}; --host-mounts allows it`);
}

/** The record and its snapshot. When it fails nothing is left behind. */
async function create(client: Client, id: string, saved: Checkpoint, rw: boolean): Promise<readonly Mount[]> {
  const { image, snapshotter, runtime, spec, runtimeOptions } = saved;
  const { manifest, config } = await readImage(client, await imageTarget(client, image), hostPlatform());
  const prepare = async (): Promise<Mount[]> => {
    const parent = chainIds(config.rootfs.diff_ids).at(-1) ?? '';
    return (await client.snapshots.Prepare({ snapshotter, key: id, parent })).mounts;
  };
  const mounts = await prepare().catch(async (error: unknown) => {
    if (!isNotFound(error)) throw error;
    const { unpack } = await import('../../../client/images/unpack.ts');
    await unpack(client, manifest, config, { snapshotter });
    return await prepare();
  });
  try {
    if (rw && saved.layer) await client.diff.Apply({ diff: saved.layer, mounts });
    const options = { name: runtime, options: runtimeOptions };
    await client.containers.Create({
      container: { id, image, snapshotter, snapshot_key: id, spec, runtime: options },
    });
  } catch (error) {
    await client.snapshots.Remove({ snapshotter, key: id }, { signal: undefined }).catch(() => undefined);
    throw error;
  }
  return mounts;
}
