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

// What vanishes while it is counted is left out; an absent root occupies nothing.
Result<Usage> disk_usage(const std::string& root, const Cancel& cancel);

}  // namespace davit::layer
