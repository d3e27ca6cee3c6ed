// A file's extended attributes as an EROFS image has them behind the file's inode.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::layer {

// Reads the attributes of what `path` names, a link itself; nothing when there are none. Left out:
// classes that EROFS does not know, and what overlayfs notes about upper layers only. E2BIG: an
// attribute, or all together, larger than EROFS can hold.
Result<std::vector<uint8_t>> erofs_xattrs(const std::string& path);

}  // namespace davit::layer
