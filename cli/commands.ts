// Every command of davit: ctr's nouns and verbs, each loaded when it is called.
import type { Flags } from './args/flags.ts';
import type { Noun, Verb } from './command.ts';
import { nounFlags } from './commands/snapshots/flags.ts';

function verb(aliases: readonly string[], summary: string, load: Verb['load']): Verb {
  return { kind: 'verb', aliases, summary, load };
}

function noun(aliases: readonly string[], summary: string, verbs: Noun['verbs'], flags: Flags = {}): Noun {
  return { kind: 'noun', aliases, summary, verbs, flags };
}

const REMOVE = ['del', 'remove', 'rm'];

const namespaces = noun(['namespace', 'ns'], 'manage namespaces', {
  create: verb(['c'], 'create a namespace', () => import('./commands/namespaces/create.ts')),
  label: verb([], 'set and clear labels of a namespace', () => import('./commands/namespaces/label.ts')),
  list: verb(['ls'], 'list namespaces', () => import('./commands/namespaces/list.ts')),
  remove: verb(['rm'], 'remove empty namespaces', () => import('./commands/namespaces/remove.ts')),
});

const leases = noun(['lease'], 'manage leases', {
  create: verb([], 'create a lease', () => import('./commands/leases/create.ts')),
  delete: verb(REMOVE, 'delete leases', () => import('./commands/leases/delete.ts')),
  list: verb(['ls'], 'list leases', () => import('./commands/leases/list.ts')),
});

const pull = verb([], 'pull an image from a registry', () => import('./commands/images/pull.ts'));
const push = verb([], 'push an image to a registry', () => import('./commands/images/push.ts'));

const history = verb([], 'show how an image was built', () => import('./commands/images/history.ts'));
const tag = verb([], 'give an image further names', () => import('./commands/images/tag.ts'));

const commit = verb([], 'make an image of a container', () => import('./commands/containers/commit.ts'));

const cp = verb([], 'copy files out of and into containers', () => import('./commands/containers/cp.ts'));

const imageVerbs = {
  check: verb([], 'check that images are complete and unpacked', () => import('./commands/images/check.ts')),
  convert: verb([], 'store an image in other types', () => import('./commands/images/convert.ts')),
  delete: verb(REMOVE, 'remove images by name', () => import('./commands/images/delete.ts')),
  export: verb([], 'export images to an archive', () => import('./commands/images/export.ts')),
  history,
  import: verb([], 'import images from an archive', () => import('./commands/images/import.ts')),
  inspect: verb(['i'], 'show what an image is made of', () => import('./commands/images/inspect.ts')),
  label: verb([], 'set and clear labels of an image', () => import('./commands/images/label.ts')),
  list: verb(['ls'], 'list images', () => import('./commands/images/list.ts')),
  mount: verb([], 'mount an image on a directory', () => import('./commands/images/mount.ts')),
  prune: verb([], 'remove images that nobody uses', () => import('./commands/images/prune.ts')),
  pull,
  push,
  referrers: verb([], 'list what refers to an image in its registry', () => import('./commands/images/referrers.ts')),
  tag,
  unmount: verb([], 'unmount an image', () => import('./commands/images/unmount.ts')),
  usage: verb([], 'show what an image takes', () => import('./commands/images/usage.ts')),
};
/** As people know it from docker: alone it lists. */
const images: Noun = { ...noun(['image', 'i'], 'manage images', imageVerbs), usual: 'list' };

const content = noun([], 'manage content', {
  active: verb([], 'show uploads under way', () => import('./commands/content/active.ts')),
  delete: verb(REMOVE, 'delete blobs', () => import('./commands/content/delete.ts')),
  edit: verb([], 'edit a blob and print the new digest', () => import('./commands/content/edit.ts')),
  get: verb([], "write a blob's bytes to stdout", () => import('./commands/content/get.ts')),
  ingest: verb([], 'store stdin as a blob', () => import('./commands/content/ingest.ts')),
  label: verb([], 'set and clear labels of a blob', () => import('./commands/content/label.ts')),
  list: verb(['ls'], 'list all blobs', () => import('./commands/content/list.ts')),
  prune: noun([], 'prune what holds content', {
    references: verb([], 'let go of layers that images hold', () => import('./commands/content/prune-references.ts')),
  }),
});

const snapshots = noun(
  ['snapshot'],
  'manage snapshots',
  {
    commit: verb([], 'commit an active snapshot', () => import('./commands/snapshots/commit.ts')),
    delete: verb(REMOVE, 'remove snapshots', () => import('./commands/snapshots/delete.ts')),
    diff: verb([], 'write what a snapshot changes as a layer', () => import('./commands/snapshots/diff.ts')),
    info: verb([], 'show a snapshot', () => import('./commands/snapshots/info.ts')),
    label: verb([], 'set and clear labels of a snapshot', () => import('./commands/snapshots/label.ts')),
    list: verb(['ls'], 'list snapshots', () => import('./commands/snapshots/list.ts')),
    mounts: verb(
      ['m', 'mount'],
      'print the commands that mount a snapshot',
      () => import('./commands/snapshots/mounts.ts'),
    ),
    prepare: verb([], 'make a writable snapshot', () => import('./commands/snapshots/prepare.ts')),
    tree: verb([], 'show which snapshots are based on which', () => import('./commands/snapshots/tree.ts')),
    unpack: verb([], "unpack a manifest's layers", () => import('./commands/snapshots/unpack.ts')),
    usage: verb([], 'show what snapshots take', () => import('./commands/snapshots/usage.ts')),
    view: verb([], 'make a read-only snapshot', () => import('./commands/snapshots/view.ts')),
  },
  nounFlags,
);

const containers = noun(['container', 'c'], 'manage containers', {
  checkpoint: verb([], 'save a container as an image', () => import('./commands/containers/checkpoint.ts')),
  commit,
  cp,
  create: verb([], 'create a container', () => import('./commands/containers/create.ts')),
  delete: verb(REMOVE, 'delete containers', () => import('./commands/containers/delete.ts')),
  info: verb([], 'show a container', () => import('./commands/containers/info.ts')),
  label: verb([], 'set and clear labels of a container', () => import('./commands/containers/label.ts')),
  list: verb(['ls'], 'list containers', () => import('./commands/containers/list.ts')),
  restore: verb([], 'go on from a checkpoint', () => import('./commands/containers/restore.ts')),
});

const tasks = noun(['task', 't'], 'manage tasks', {
  attach: verb([], 'connect to a running container', () => import('./commands/tasks/attach.ts')),
  checkpoint: verb([], 'save the processes of a container', () => import('./commands/tasks/checkpoint.ts')),
  delete: verb(REMOVE, 'delete tasks', () => import('./commands/tasks/delete.ts')),
  exec: verb([], 'run a further process in a container', () => import('./commands/tasks/exec.ts')),
  kill: verb([], 'signal a container', () => import('./commands/tasks/kill.ts')),
  list: verb(['ls'], 'list tasks', () => import('./commands/tasks/list.ts')),
  metrics: verb(['metric'], 'show what a container uses', () => import('./commands/tasks/metrics.ts')),
  pause: verb([], 'freeze a container', () => import('./commands/tasks/pause.ts')),
  ps: verb([], 'list the processes in a container', () => import('./commands/tasks/ps.ts')),
  resume: verb([], 'let a paused container go on', () => import('./commands/tasks/resume.ts')),
  start: verb([], 'start a container', () => import('./commands/tasks/start.ts')),
});

export const NOUNS: Noun['verbs'] = {
  run: verb([], 'run a container', () => import('./commands/run.ts')),
  pull,
  push,
  save: verb([], 'write images to an archive', () => import('./commands/images/save.ts')),
  load: verb([], 'read images from an archive', () => import('./commands/images/load.ts')),
  tag,
  commit,
  cp,
  history,
  rmi: verb([], 'remove images by name', () => import('./commands/images/delete.ts')),
  containers,
  tasks,
  images,
  content,
  snapshots,
  leases,
  namespaces,
  events: verb(['event'], 'print events as they happen', () => import('./commands/events.ts')),
  plugins: noun(['plugin'], 'show what the daemon is made of', {
    'inspect-runtime': verb([], 'show a runtime', () => import('./commands/plugins/inspect-runtime.ts')),
    list: verb(['ls'], 'list plugins', () => import('./commands/plugins/list.ts')),
  }),
  info: verb([], 'print the server info', () => import('./commands/info.ts')),
  version: verb([], 'print the client and server versions', () => import('./commands/version.ts')),
};
