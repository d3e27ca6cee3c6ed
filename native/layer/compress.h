// Compressors: the same input in the same pieces gives the same bytes.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "native/kernel/result.h"
#include "native/layer/decompress.h"

namespace davit::layer {

class Compressor {
 public:
  using Sink = std::function<Result<>(std::span<const uint8_t>)>;

  virtual ~Compressor() = default;
  // Hands what becomes of `bytes` to `sink`; with `last` everything, and the end of the stream.
  virtual Result<> add(std::span<const uint8_t> bytes, bool last, const Sink& sink) = 0;
};

// kDetect is not a way to write.
Result<std::unique_ptr<Compressor>> compressor(Compression compression);

}  // namespace davit::layer
