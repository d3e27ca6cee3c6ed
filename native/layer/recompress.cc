#include "native/layer/recompress.h"

#include "native/layer/layer_stream.h"

namespace davit::layer {

Result<BlobSummary> recompress(Fd in, Fd out, Compression compression, const Cancel& cancel) {
  DAVIT_ASSIGN(std::unique_ptr<ByteSource> content,
               decompress(file_source(std::move(in), 0, -1), Compression::kDetect));
  DAVIT_ASSIGN(std::unique_ptr<LayerStream> stream,
               LayerStream::start(std::move(content), -1, cancel));
  DAVIT_ASSIGN(std::unique_ptr<BlobWriter> blob,
               BlobWriter::start(std::move(out), compression, cancel));
  for (;;) {
    DAVIT_ASSIGN(std::span<const uint8_t> chunk, stream->next());
    if (chunk.empty()) return blob->finish();
    DAVIT_TRY(blob->write(chunk));
  }
}

}  // namespace davit::layer
