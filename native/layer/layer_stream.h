// LayerStream: a blob's content, unpacked and hashed on a thread of its own while the caller uses
// it.
#pragma once

#include <memory>
#include <string>

#include "native/layer/cancel.h"
#include "native/layer/decompress.h"
#include "native/layer/digest.h"
#include "native/layer/pipe.h"
#include "native/layer/thread.h"

namespace davit::layer {

class LayerStream : public ChunkSource {
 public:
  // `max_size` < 0 is no limit; content beyond it fails with EFBIG. `cancel` outlives this object.
  static Result<std::unique_ptr<LayerStream>> start(std::unique_ptr<ByteSource> source,
                                                    int64_t max_size, const Cancel& cancel);
  ~LayerStream() override;
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  Result<std::span<const uint8_t>> next() override { return pipe_.next(); }

  struct Summary {
    std::string digest;
    int64_t size;
  };
  // Reads what is left, so that the digest covers every byte, and ends the thread.
  Result<Summary> drain();

 private:
  LayerStream(std::unique_ptr<ByteSource> source, int64_t max_size, const Cancel& cancel)
      : source_(std::move(source)), max_size_(max_size), cancel_(cancel) {}
  Result<> produce_all();

  std::unique_ptr<ByteSource> source_;
  int64_t max_size_;
  const Cancel& cancel_;
  Pipe pipe_;
  Sha256 digest_;     // the thread's until it has finished
  int64_t size_ = 0;  // likewise
  Thread thread_;
};

}  // namespace davit::layer
