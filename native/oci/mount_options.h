// Mount options of the OCI spec, sorted into what the kernel takes where.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/mount.h"
#include "native/kernel/result.h"

namespace davit::oci {

struct MountOptions {
  bool bind = false, recursive = false;
  bool remount = false;
  bool copy_up = false;                          // tmpcopyup
  kernel::MountAttributes attributes;            // of the mount itself
  kernel::MountAttributes recursive_attributes;  // `rro` and its like: of all mounts below, too
  std::vector<unsigned long> propagation;        // MS_SHARED ..., with MS_REC
  std::vector<kernel::FsOption> data;            // of the file system
};

// EINVAL for what no kernel would take (idmap options are ENOSYS: not supported yet).
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

}  // namespace davit::oci
