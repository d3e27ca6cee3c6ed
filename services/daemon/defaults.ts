// The defaults of the configuration; its shape is that of the TOML file.

export interface Config {
  version: number;
  /** Folder of what survives a reboot. */
  root: string;
  /** Folder of what does not: sockets, bundles. */
  state: string;
  temp: string;
  /** Plugins by `type.id` that must not be loaded, and that must. */
  disabled_plugins: string[];
  required_plugins: string[];
  /** The daemon's oom_score_adj; 0 leaves it alone. */
  oom_score: number;
  imports: string[];
  grpc: GrpcConfig;
  ttrpc: { address: string; uid: number; gid: number };
  debug: { address: string; uid: number; gid: number; level: string; format: string };
  /** Prometheus at http://<address>/v1/metrics; empty for none. */
  metrics: { address: string; grpc_histogram: boolean };
  /** By name; checked when they are used (compose/proxies.ts). */
  proxy_plugins: Record<string, Record<string, unknown>>;
  /** Durations as Go writes them: `2s`, `500ms`. */
  timeouts: Record<string, string>;
  plugins: Plugins;
}

export interface GrpcConfig {
  address: string;
  uid: number;
  gid: number;
  /** host:port for gRPC over TCP; needs tcp_tls_cert and tcp_tls_key unless it is loopback. */
  tcp_address: string;
  tcp_tls_ca: string;
  tcp_tls_cert: string;
  tcp_tls_key: string;
  /** Bytes. */
  max_recv_message_size: number;
  max_send_message_size: number;
}

export interface Plugins {
  'io.containerd.gc.v1.scheduler': {
    pause_threshold: number;
    deletion_threshold: number;
    mutation_threshold: number;
    schedule_delay: string;
    startup_delay: string;
  };
  'io.containerd.metadata.v1.bolt': { content_sharing_policy: string };
  'io.containerd.snapshotter.v1.overlayfs': { root_path: string; upperdir_label: boolean; mount_options: string[] };
  'io.containerd.snapshotter.v1.native': { root_path: string };
  'io.containerd.snapshotter.v1.btrfs': { root_path: string };
  'io.containerd.snapshotter.v1.erofs': { root_path: string; ovl_mount_options: string[] };
  /** davit's own option: let the kernel mount EROFS images that came as layers. */
  'io.containerd.differ.v1.erofs': { native_layers: boolean };
  'io.containerd.transfer.v1.local': {
    /** Folders of registry hosts in certs.d's layout, separated by colons. */
    config_path: string;
    /** Blobs of one image at a time. */
    max_concurrent_downloads: number;
    max_concurrent_uploaded_layers: number;
    /** Layers of all images at a time; 0: as many as there are processors. */
    max_concurrent_unpacks: number;
  };
  /** Programs that say whether an image may be pulled; max_verifiers below 0 for no limit. */
  'io.containerd.image-verifier.v1.bindir': { bin_dir: string; max_verifiers: number; per_verifier_timeout: string };
  'io.containerd.runtime.v2.task': { platforms: string[]; sched_core: boolean };
  /** davit's own: what layers may hold unpacked, and whether they are unpacked as soon as their blob is complete. */
  'io.davit.unpack.v1': {
    ahead: boolean;
    max_layer_size: number;
    max_layer_entries: number;
    /** Whether garbage collection may have the layers of images that transfers have unpacked. */
    discard_unpacked_layers: boolean;
  };
  /**
   * davit's own: a socket on which this daemon is a proxy plugin of another containerd, a snapshotter (`overlayfs` or
   * another one of ours); '' for none.
   */
  'io.davit.proxied.v1': { address: string; snapshotter: string };
  /** davit's own: the shim that stands for runc's runtime names. */
  'io.davit.runtime.v1': { shim: string };
  /** As in containerd; here lowering oom_score_adj is always given up where the kernel refuses it. */
  'io.containerd.grpc.v1.cri': { restrict_oom_score_adj: boolean };
}

const MEBIBYTE = 1024 * 1024;

export function defaults(): Config {
  return {
    version: 3,
    root: '/var/lib/davit',
    state: '/run/davit',
    temp: '',
    disabled_plugins: [],
    required_plugins: [],
    oom_score: 0,
    imports: [],
    grpc: {
      address: '/run/davit/davit.sock',
      uid: 0,
      gid: 0,
      tcp_address: '',
      tcp_tls_ca: '',
      tcp_tls_cert: '',
      tcp_tls_key: '',
      max_recv_message_size: 16 * MEBIBYTE,
      max_send_message_size: 16 * MEBIBYTE,
    },
    ttrpc: { address: '', uid: 0, gid: 0 },
    debug: { address: '', uid: 0, gid: 0, level: 'info', format: 'text' },
    metrics: { address: '', grpc_histogram: false },
    proxy_plugins: {},
    timeouts: {
      'io.containerd.timeout.shim.cleanup': '5s',
      'io.containerd.timeout.shim.load': '5s',
      'io.containerd.timeout.shim.shutdown': '3s',
      'io.containerd.timeout.task.state': '2s',
      'io.davit.timeout.proxy': '60s',
    },
    plugins: {
      'io.containerd.gc.v1.scheduler': {
        pause_threshold: 0.02,
        deletion_threshold: 0,
        mutation_threshold: 100,
        schedule_delay: '0s',
        startup_delay: '100ms',
      },
      'io.containerd.metadata.v1.bolt': { content_sharing_policy: 'shared' },
      'io.containerd.snapshotter.v1.overlayfs': { root_path: '', upperdir_label: false, mount_options: [] },
      'io.containerd.snapshotter.v1.native': { root_path: '' },
      'io.containerd.snapshotter.v1.btrfs': { root_path: '' },
      'io.containerd.snapshotter.v1.erofs': { root_path: '', ovl_mount_options: [] },
      'io.containerd.differ.v1.erofs': { native_layers: false },
      'io.containerd.transfer.v1.local': {
        config_path: '/etc/davit/certs.d:/etc/containerd/certs.d:/etc/docker/certs.d',
        max_concurrent_downloads: 3,
        max_concurrent_uploaded_layers: 3,
        max_concurrent_unpacks: 0,
      },
      'io.containerd.image-verifier.v1.bindir': {
        bin_dir: '/opt/containerd/image-verifier/bin',
        max_verifiers: 10,
        per_verifier_timeout: '10s',
      },
      'io.containerd.runtime.v2.task': { platforms: ['linux/amd64'], sched_core: false },
      'io.davit.unpack.v1': {
        ahead: true,
        max_layer_size: 64 * 1024 * MEBIBYTE,
        max_layer_entries: 4_000_000,
        discard_unpacked_layers: false,
      },
      'io.davit.proxied.v1': { address: '', snapshotter: 'overlayfs' },
      'io.davit.runtime.v1': { shim: 'containerd-shim-davit-v1' },
      'io.containerd.grpc.v1.cri': { restrict_oom_score_adj: true },
    },
  };
}
