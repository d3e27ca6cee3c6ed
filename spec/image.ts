// What an image's config says about the process.
import { DEFAULT_PATH } from './default.ts';
import { mergeEnvironment } from './environment.ts';
import type { Process, Spec } from './types.ts';
import { processUser, type UserFiles } from './users.ts';

/** The `config` of an OCI image configuration. */
export interface ImageConfig {
  readonly User?: string;
  readonly Env?: readonly string[] | null;
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly StopSignal?: string;
}

/** Labels of images are anybody's: those that mean something to the daemon are not taken over (CVE-2026-53488). */
const RESERVED = ['containerd.io/', 'io.cri-containerd', 'io.davit', 'io.containerd.'];

/**
 * Sets environment, arguments, working directory and user as the image says. What the process's
 * environment holds by now wins over the image's.
 */
export async function applyImageConfig(spec: Spec, config: ImageConfig, files: UserFiles): Promise<void> {
  const process = processOf(spec);
  const base = config.Env && config.Env.length > 0 ? config.Env : [DEFAULT_PATH];
  process.env = mergeEnvironment(base, process.env ?? []);
  process.args = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  process.cwd = config.WorkingDir || '/';
  process.user = await processUser(config.User ?? '', files);
}

/** The image's labels that a container may inherit. */
export function inheritedLabels(config: ImageConfig): Record<string, string> {
  const labels = Object.entries(config.Labels ?? {});
  return Object.fromEntries(labels.filter(([key]) => !RESERVED.some((prefix) => key.startsWith(prefix))));
}

export function processOf(spec: Spec): Process {
  spec.process ??= { user: { uid: 0, gid: 0 }, cwd: '/' };
  return spec.process;
}
