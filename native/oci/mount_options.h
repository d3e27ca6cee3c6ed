// The options of an OCI mount, sorted by what carries them out.
#pragma once

#include <cstdint>
#include <vector>

#include "native/kernel/mount.h"
#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

struct MountOptions {
  bool bind = false, recursive = false;  // recursive: rbind
  kernel::MountAttributes top;           // of this mount
  kernel::MountAttributes whole;         // of it and all below ("rro")
  std::uint64_t propagation = 0;         // MS_SHARED ..., 0 when not given
  bool propagation_recursive = false;
  bool copy_up = false;                         // tmpcopyup
  bool map_ids = false, map_ids_below = false;  // idmap, ridmap, or with mappings of its own
  std::vector<kernel::FsOption> filesystem;     // for the file system itself
  bool read_only() const { return (top.set & MOUNT_ATTR_RDONLY) != 0; }
};

// All that are known by name; others are left to the file system.
std::vector<std::string> mount_option_names();

Result<MountOptions> parse_mount_options(const Mount& mount);

// "rslave" and its like as MS_ flags, MS_REC with them; 0 for an empty name.
Result<std::uint64_t> parse_propagation(const std::string& name);

}  // namespace davit::oci
