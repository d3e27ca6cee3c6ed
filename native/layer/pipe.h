// Pipe: a bounded hand-over of blocks from one producer thread to one consumer thread.
//
// Whichever side stops first tells the other: the consumer by close(), the producer by finish().
// Neither can then wait for ever.
#pragma once

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "native/layer/byte_source.h"

namespace davit::layer {

class Pipe : public ChunkSource {
 public:
  // Producer: an empty block to fill, waiting for one; an empty span once the consumer has closed.
  std::span<uint8_t> acquire();
  // Producer: hands over the first `size` bytes of the acquired block.
  void publish(size_t size);
  // Producer: nothing more comes; `outcome` is what the consumer sees after the last block.
  void finish(Result<> outcome);

  // Consumer: gives back the previous block and waits for the next one.
  Result<std::span<const uint8_t>> next() override;
  // Consumer: wants no more.
  void close();

 private:
  static constexpr size_t kBlockSize = 256 * 1024;
  static constexpr size_t kBlocks = 8;

  struct Block {
    std::unique_ptr<uint8_t[]> bytes;  // allocated when first used: a small layer needs one
    size_t size = 0;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Block, kBlocks> ring_;
  size_t produced_ = 0;  // blocks published since the beginning
  size_t consumed_ = 0;  // blocks given back since the beginning
  bool lent_ = false;    // the consumer is looking at block `consumed_`
  bool closed_ = false;
  bool finished_ = false;
  Result<> outcome_;
};

}  // namespace davit::layer
