// All of some bytes into a file, however many calls that takes. `what` begins the error.
#pragma once

#include <cstdint>
#include <span>

#include "native/kernel/result.h"

namespace davit::layer {

// At the file position.
Result<> write_all(int fd, std::span<const uint8_t> bytes, const char* what);
// At `offset`.
Result<> write_all_at(int fd, std::span<const uint8_t> bytes, int64_t offset, const char* what);

}  // namespace davit::layer
