// BlobWriter: a stream of bytes, compressed and hashed on a thread of its own, into a file.
#pragma once

#include <memory>
#include <string>

#include "native/kernel/fd.h"
#include "native/layer/cancel.h"
#include "native/layer/compress.h"
#include "native/layer/digest.h"
#include "native/layer/pipe.h"
#include "native/layer/thread.h"

namespace davit::layer {

struct BlobSummary {
  std::string digest;  // of what was written to the file
  int64_t size = 0;
  std::string uncompressed_digest;
  int64_t uncompressed_size = 0;
};

class BlobWriter {
 public:
  // Writes at the file position of `out`. `cancel` outlives this object.
  static Result<std::unique_ptr<BlobWriter>> start(Fd out, Compression compression,
                                                   const Cancel& cancel);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  Result<> write(std::span<const uint8_t> bytes);
  Result<> zeros(size_t count);
  // A part of the stream to fill in place: at most `size` bytes, at least one; then filled().
  Result<std::span<uint8_t>> space(size_t size);
  void filled(size_t size);

  // Waits until all is in the file.
  Result<BlobSummary> finish();

 private:
  BlobWriter(Fd out, std::unique_ptr<Compressor> compressor, const Cancel& cancel)
      : out_(std::move(out)), compressor_(std::move(compressor)), cancel_(cancel) {}
  Result<> consume();
  Result<> store(std::span<const uint8_t> bytes);
  Result<> stopped();

  Fd out_;
  std::unique_ptr<Compressor> compressor_;
  const Cancel& cancel_;
  Pipe pipe_;
  std::span<uint8_t> block_;  // being filled
  size_t filled_ = 0;
  Sha256 digest_;  // these and the result are the thread's until it has ended
  Sha256 uncompressed_;
  BlobSummary summary_;
  Result<> result_;
  Thread thread_;
};

}  // namespace davit::layer
