// The rootfs that a client asks the shim to mount, at <bundle>/rootfs.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "shim/wire/messages.h"

namespace davit::shim::rootfs {

// Mounts all; undoes them when one fails. A mount's target is relative to the rootfs and resolved
// inside it.
Result<> mount(const std::vector<wire::Mount>& mounts, const std::string& rootfs);

// Unmounts whatever is mounted there, lazily what is busy. Nothing mounted is success.
Result<> unmount(const std::string& rootfs);

}  // namespace davit::shim::rootfs
