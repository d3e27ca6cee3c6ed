// The new mount API: mounts are descriptors until they are attached, and they are attached to
// descriptors, so no path is looked up twice and none is seen half set up.
#pragma once

#include <sys/mount.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// A copy of the mount at `path` below `dir`, not attached anywhere. An empty path is `dir` itself.
Result<Fd> clone_tree(int dir, const char* path, bool recursive);

struct MountAttributes {
  std::uint64_t set = 0, clear = 0;  // MOUNT_ATTR_*
  std::uint64_t propagation = 0;     // MS_PRIVATE ..., or 0
  int userns = -1;                   // MOUNT_ATTR_IDMAP
  bool empty() const { return set == 0 && clear == 0 && propagation == 0; }
};
Result<> set_attributes(int mount, const MountAttributes& attributes, bool recursive);

// A new file system, not attached. An option without a value is a flag; `descriptors` are options
// whose values are open files, set first and in order. The error carries the file system's own
// words when it gave some.
using FsOption = std::pair<std::string, std::string>;
using FsDescriptor = std::pair<std::string, Fd>;
Result<Fd> make_filesystem(const char* type, const std::vector<FsOption>& options,
                           std::uint64_t attributes,
                           const std::vector<FsDescriptor>& descriptors = {});

// Attaches a detached mount on top of `destination`.
Result<> attach(int mount, int destination);

}  // namespace davit::kernel
