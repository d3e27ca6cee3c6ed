#include "native/layer/pipe.h"

namespace davit::layer {

std::span<uint8_t> Pipe::acquire() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || produced_ - consumed_ < kBlocks; });
  if (closed_) return {};
  Block& block = ring_[produced_ % kBlocks];
  if (!block.bytes) block.bytes = std::make_unique_for_overwrite<uint8_t[]>(kBlockSize);
  return {block.bytes.get(), kBlockSize};
}

void Pipe::publish(size_t size) {
  {
    std::lock_guard lock(mutex_);
    ring_[produced_ % kBlocks].size = size;
    produced_++;
  }
  changed_.notify_all();
}

void Pipe::finish(Result<> outcome) {
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
    outcome_ = std::move(outcome);
  }
  changed_.notify_all();
}

Result<std::span<const uint8_t>> Pipe::next() {
  std::unique_lock lock(mutex_);
  if (lent_) {
    lent_ = false;
    consumed_++;
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return finished_ || produced_ > consumed_; });
  if (produced_ > consumed_) {
    lent_ = true;
    const Block& block = ring_[consumed_ % kBlocks];
    return std::span<const uint8_t>(block.bytes.get(), block.size);
  }
  if (!outcome_) return std::unexpected(outcome_.error());
  return std::span<const uint8_t>();
}

void Pipe::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

}  // namespace davit::layer
