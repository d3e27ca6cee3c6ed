// The content of a compressed blob.
//
// gzip: several members follow each other, zero padding after the last is accepted, any other
// garbage is an error as it is for containerd. zstd: several frames, skippable ones too. Corrupt
// data is EBADMSG, and so is data that ends early: never a short success.
#pragma once

#include <memory>

#include "native/kernel/fd.h"
#include "native/layer/byte_source.h"

namespace davit::layer {

enum class Compression { kDetect, kNone, kGzip, kZstd };

// Reads `fd` from `offset` with pread, so the file position is untouched; `length` < 0 is to the
// end. The file may not be shorter than `length`.
std::unique_ptr<ByteSource> file_source(Fd fd, int64_t offset, int64_t length);

// Unpacks `source`. kDetect looks at the first bytes and takes unknown ones as not compressed.
Result<std::unique_ptr<ByteSource>> decompress(std::unique_ptr<ByteSource> source,
                                               Compression compression);

}  // namespace davit::layer
