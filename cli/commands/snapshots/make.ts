// What `prepare` and `view` share.
import type { Mount } from '../../../proto/gen/containerd.types.ts';
import { flag } from '../../args/flags.ts';
import { required, type Context } from '../../command.ts';
import { jsonText } from '../../output/json.ts';
import { nounFlags } from './flags.ts';
import type { Values } from '../../args/flags.ts';

export const makeFlags = {
  ...nounFlags,
  target: flag.string({ alias: 't', help: 'print commands that mount the snapshot here' }),
  mounts: flag.switch({ help: 'print the mounts as JSON' }),
};

export interface MakeArguments {
  readonly key: string;
  readonly parent: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Held against garbage collection: nothing else refers to what a person makes by hand. */
export function makeArguments([key, parent]: readonly string[]): MakeArguments {
  const labels = { 'containerd.io/gc.root': `${new Date().toISOString().slice(0, 19)}Z` };
  return { key: required(key, 'snapshot key'), parent: parent ?? '', labels };
}

export function printMounts(context: Context, flags: Values<typeof makeFlags>, mounts: readonly Mount[]): void {
  if (flags.target !== undefined) context.print(mountCommands(flags.target, mounts));
  if (flags.mounts)
    context.print(
      jsonText(
        mounts.map(({ type, source, target, options }) => ({
          Type: type,
          Source: source,
          Target: target || undefined,
          Options: options,
        })),
      ),
    );
}

/** For a shell. */
export function mountCommands(target: string, mounts: readonly Mount[]): string {
  return mounts
    .map(
      ({ type, source, options }) =>
        `mount -t ${type} ${source} ${target}${options.length > 0 ? ` -o ${options.join(',')}` : ''}\n`,
    )
    .join('');
}
