// A regular file's data in an EROFS image.
#pragma once

#include <cstdint>
#include <vector>

#include "native/kernel/result.h"
#include "native/layer/erofs_file.h"
#include "native/layer/erofs_format.h"

namespace davit::layer {

struct ErofsData {
  erofs::Layout layout = erofs::Layout::kPlain;
  uint32_t data = 0;          // of the inode
  std::vector<uint8_t> tail;  // what follows the inode: the last bytes, or the chunks' blocks
};

// Copies the `size` bytes of `from`, as zeros where it has become shorter, to blocks of their own
// but for what fits behind an inode of `head` bytes. Of a `sparse` file holes stay holes.
Result<ErofsData> write_erofs_data(int from, uint64_t size, bool sparse, size_t head,
                                   ErofsFile& file);

}  // namespace davit::layer
