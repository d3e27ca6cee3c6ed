// InputBuffer: the compressed side of a decompressor, refilled from its source.
#pragma once

#include <memory>
#include <span>

#include "native/layer/byte_source.h"

namespace davit::layer {

class InputBuffer {
 public:
  explicit InputBuffer(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), bytes_(std::make_unique_for_overwrite<uint8_t[]>(kCapacity)) {}

  // What has been read and not consumed.
  std::span<const uint8_t> available() const { return {bytes_.get() + begin_, end_ - begin_}; }
  void consume(size_t count) { begin_ += count; }

  // Adds bytes behind the available ones; 0 at the end of the source. Needs room: call it only when
  // less than half the capacity is available.
  Result<size_t> refill();

  static constexpr size_t kCapacity = 256 * 1024;

 private:
  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<uint8_t[]> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

// The decompressors behind decompress(); each owns its input.
std::unique_ptr<ByteSource> gzip_source(InputBuffer input);
Result<std::unique_ptr<ByteSource>> zstd_source(InputBuffer input);

}  // namespace davit::layer
