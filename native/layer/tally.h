// What a layer takes on disk, counted while it is written: saves reading the tree again.
#pragma once

#include <cstdint>

#include "native/layer/usage.h"

namespace davit::layer {

class Tally {
 public:
  // Bytes in which the file system gives space to files, and what an empty directory takes.
  void sizes(int64_t block, int64_t directory) {
    block_ = block;
    directory_ = directory;
  }

  // A file of `size` bytes, without holes, was made.
  void file(int64_t size) {
    usage_.inodes++;
    usage_.bytes += (size + block_ - 1) / block_ * block_;
  }
  // Something whose inode holds all of it.
  void inode() { usage_.inodes++; }
  // A directory was made; what it takes is known when all is in it.
  void directory() {
    usage_.inodes++;
    unmeasured_++;
  }
  void measured(int64_t allocated) {
    usage_.bytes += allocated;
    unmeasured_--;
  }
  // Something was there before, or was removed or copied: only the tree itself tells.
  void lose() { known_ = false; }

  bool known() const { return known_; }
  // Directories that were not measured count as empty ones.
  Usage usage() const {
    return {.bytes = usage_.bytes + unmeasured_ * directory_, .inodes = usage_.inodes};
  }

 private:
  int64_t block_ = 4096;
  int64_t directory_ = 0;
  int64_t unmeasured_ = 0;
  bool known_ = true;
  Usage usage_;
};

}  // namespace davit::layer
