// Subvolumes of btrfs, by ioctl.
#pragma once

#include <string>

#include "native/kernel/result.h"

namespace davit::btrfs {

// Makes the empty subvolume `path`.
Result<> create(const std::string& path);

// Makes `to` a snapshot of the subvolume `from`, on the same file system. Subvolumes within it are
// empty directories there.
Result<> snapshot(const std::string& from, const std::string& to, bool read_only);

// Removes the subvolume `path`, whatever is in it; its space is freed later. ENOTEMPTY: another
// subvolume lies within it; ENOENT: there is nothing.
Result<> remove(const std::string& path);

}  // namespace davit::btrfs
