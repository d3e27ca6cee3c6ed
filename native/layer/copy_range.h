// Copying bytes between files in the kernel, shared by both where the file system can.
#pragma once

#include <sys/types.h>

#include "native/kernel/result.h"

namespace davit::layer {

// Copies `length` bytes at `in` of `from` to `out` of `to`; stops early, without error, where
// `from` ends.
Result<> copy_range(int from, off_t in, int to, off_t out, off_t length);

}  // namespace davit::layer
