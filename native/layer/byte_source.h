// Streams of bytes: pulled into a caller's buffer (ByteSource) or handed out in place
// (ChunkSource).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "native/kernel/result.h"

namespace davit::layer {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills at most `out.size()` bytes and returns how many; 0 is the end.
  virtual Result<size_t> read(std::span<uint8_t> out) = 0;
};

class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // The bytes after the last chunk, valid until the next call; an empty chunk is the end.
  virtual Result<std::span<const uint8_t>> next() = 0;
  // Leaves out at most `count` bytes after the last chunk without reading them, and returns how
  // many.
  virtual Result<int64_t> skip(int64_t /*count*/) { return 0; }
};

}  // namespace davit::layer
