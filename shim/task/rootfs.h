// The rootfs that a client asks the shim to mount, at <bundle>/rootfs.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "shim/wire/messages.h"

namespace davit::shim::rootfs {

// Mounts all; undoes them when one fails. A mount's target is relative to the rootfs and resolved
// inside it.
Result<> mount(const std::vector<wire::Mount>& mounts, const std::string& rootfs);

// Unmounts whatever is mounted there, lazily what is busy. Nothing mounted is success.
Result<> unmount(const std::string& rootfs);

// The same, but returns before the file system behind the mount has ended, which for an overlay
// waits for the disk: it ends when the returned descriptor is closed. The path is free at once.
Result<Fd> detach(const std::string& rootfs);

}  // namespace davit::shim::rootfs
