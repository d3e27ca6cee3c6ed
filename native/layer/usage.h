// What a directory tree occupies.
#pragma once

#include <cstdint>
#include <string>

#include "native/kernel/result.h"
#include "native/layer/cancel.h"

namespace davit::layer {

struct Usage {
  int64_t bytes = 0;   // of allocated blocks
  int64_t inodes = 0;  // the root included; a file with several links counts once
};

// What vanishes while it is counted is left out; an absent root occupies nothing. `base`, when not
// empty, is a tree that `root` was a btrfs snapshot of: a file that has the same number and change
// time at the same path there is shared with it, and not counted.
Result<Usage> disk_usage(const std::string& root, const Cancel& cancel,
                         const std::string& base = {});

}  // namespace davit::layer
