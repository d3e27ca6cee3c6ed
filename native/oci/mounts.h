// The parts of mounting a rootfs; see rootfs.h for their order.
#pragma once

#include "native/oci/mount_options.h"
#include "native/oci/rootfs.h"

namespace davit::oci {

// spec.mounts, in order.
Result<> mount_all(const RootfsContext& context);

// The default device nodes and links, and spec.devices; nothing when the host's /dev is bound
// there.
Result<> make_dev(const RootfsContext& context);

// A "cgroup" mount: on v1 a tmpfs with one mount per hierarchy, on v2 the one file system. Shows
// the container's own cgroup as the top.
Result<> mount_cgroup(const RootfsContext& context, const MountOptions& options, int destination);

// What lies below such a mount on v1, from Cgroup::paths(): a folder's name, and what is bound
// there without a cgroup namespace.
struct CgroupFolder {
  std::string name, path;
};
std::vector<CgroupFolder> cgroup_folders(const std::vector<std::string>& paths);

// Fills the new mount `to` with what the image has in the directory `from`.
Result<> copy_up(int from, int to);

}  // namespace davit::oci
