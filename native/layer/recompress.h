// The same layer, compressed in another way: its files and diff id stay what they are.
#pragma once

#include "native/layer/blob_writer.h"

namespace davit::layer {

// Reads `in`, whatever its compression, from its beginning, and writes at the file position of
// `out`.
Result<BlobSummary> recompress(Fd in, Fd out, Compression compression, const Cancel& cancel);

}  // namespace davit::layer
