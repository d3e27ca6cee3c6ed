// ErofsFile: the file of an EROFS image while it is written: which bytes are taken, and by what.
#pragma once

#include <cstdint>
#include <span>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/layer/digest.h"

namespace davit::layer {

class ErofsFile {
 public:
  // `file` is empty. The first inode placed is the root's.
  explicit ErofsFile(Fd file) : file_(std::move(file)) {}

  int fd() const { return file_.get(); }

  // Takes `count` blocks in a row; the number of the first. EFBIG past what 32 bits can count.
  Result<uint32_t> take_blocks(uint64_t count);
  // Takes a place for an inode and what goes with it; its offset. What fits into a block shares
  // one.
  Result<uint64_t> take_slot(size_t size);

  // Metadata and directories; what is written here tells one image from another.
  Result<> write(uint64_t offset, std::span<const uint8_t> bytes);
  // The same behind one another: an inode, and what follows it.
  Result<> write(uint64_t offset, std::span<const uint8_t> head, std::span<const uint8_t> tail);

  // Writes the superblock; the size of the whole.
  Result<int64_t> finish(uint64_t root_offset, uint64_t inodes, bool chunked);

 private:
  Fd file_;
  uint64_t blocks_ = 1;         // taken so far, those of open metadata too
  uint64_t slot_ = 1024 + 128;  // the next free place for inodes, and where that room ends
  uint64_t slots_end_ = 4096;
  uint64_t next_blocks_ = 4;  // how many to take for inodes when the room is used up
  Sha256 identity_;
};

}  // namespace davit::layer
