#include "native/layer/blob_writer.h"

#include <algorithm>
#include <cstring>

#include "native/layer/write_all.h"

namespace davit::layer {

Result<std::unique_ptr<BlobWriter>> BlobWriter::start(Fd out, Compression compression,
                                                      const Cancel& cancel) {
  DAVIT_ASSIGN(std::unique_ptr<Compressor> chosen, compressor(compression));
  std::unique_ptr<BlobWriter> writer(new BlobWriter(std::move(out), std::move(chosen), cancel));
  BlobWriter* self = writer.get();
  DAVIT_ASSIGN(writer->thread_, Thread::start([self] {
                 self->result_ = self->consume();
                 if (!self->result_) self->pipe_.close();
               }));
  return writer;
}

BlobWriter::~BlobWriter() {
  pipe_.finish(fail(ECANCELED, "abandoned"));
  thread_.join();
}

Result<> BlobWriter::consume() {
  auto to_file = [this](std::span<const uint8_t> bytes) { return store(bytes); };
  for (;;) {
    DAVIT_TRY(cancel_.check());
    DAVIT_ASSIGN(std::span<const uint8_t> chunk, pipe_.next());
    uncompressed_.update(chunk);
    summary_.uncompressed_size += static_cast<int64_t>(chunk.size());
    DAVIT_TRY(compressor_->add(chunk, chunk.empty(), to_file));
    if (chunk.empty()) return {};
  }
}

Result<> BlobWriter::store(std::span<const uint8_t> bytes) {
  digest_.update(bytes);
  summary_.size += static_cast<int64_t>(bytes.size());
  return write_all(out_.get(), bytes, "write layer");
}

// The thread has refused more: its reason.
Result<> BlobWriter::stopped() {
  thread_.join();
  if (!result_) return result_;
  return fail(0, "layer is not written any more");
}

Result<std::span<uint8_t>> BlobWriter::space(size_t size) {
  if (filled_ == block_.size()) {
    // Blocks are handed on only when they are full, so that the same stream is always compressed in
    // the same pieces.
    if (!block_.empty()) pipe_.publish(filled_);
    filled_ = 0;
    block_ = pipe_.acquire();
    if (block_.empty()) {
      DAVIT_TRY(stopped());
    }
  }
  return block_.subspan(filled_, std::min(size, block_.size() - filled_));
}

void BlobWriter::filled(size_t size) {
  filled_ += size;
}

Result<> BlobWriter::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    DAVIT_ASSIGN(std::span<uint8_t> room, space(bytes.size()));
    std::memcpy(room.data(), bytes.data(), room.size());
    filled(room.size());
    bytes = bytes.subspan(room.size());
  }
  return {};
}

Result<> BlobWriter::zeros(size_t count) {
  while (count > 0) {
    DAVIT_ASSIGN(std::span<uint8_t> room, space(count));
    std::memset(room.data(), 0, room.size());
    filled(room.size());
    count -= room.size();
  }
  return {};
}

Result<BlobSummary> BlobWriter::finish() {
  if (filled_ > 0) pipe_.publish(filled_);
  block_ = {};
  filled_ = 0;
  pipe_.finish({});
  thread_.join();
  if (!result_) return std::unexpected(result_.error());
  summary_.digest = digest_.finish();
  summary_.uncompressed_digest = uncompressed_.finish();
  return summary_;
}

}  // namespace davit::layer
