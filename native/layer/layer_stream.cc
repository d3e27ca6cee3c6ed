#include "native/layer/layer_stream.h"

namespace davit::layer {

Result<std::unique_ptr<LayerStream>> LayerStream::start(std::unique_ptr<ByteSource> source,
                                                        int64_t max_size, const Cancel& cancel) {
  std::unique_ptr<LayerStream> stream(new LayerStream(std::move(source), max_size, cancel));
  LayerStream* self = stream.get();
  DAVIT_ASSIGN(stream->thread_, Thread::start([self] { self->pipe_.finish(self->produce_all()); }));
  return stream;
}

LayerStream::~LayerStream() {
  pipe_.close();
  thread_.join();
}

Result<> LayerStream::produce_all() {
  for (;;) {
    std::span<uint8_t> block = pipe_.acquire();
    if (block.empty()) return {};
    size_t filled = 0;
    while (filled < block.size()) {
      DAVIT_TRY(cancel_.check());
      DAVIT_ASSIGN(size_t got, source_->read(block.subspan(filled)));
      if (got == 0) break;
      digest_.update(block.subspan(filled, got));
      filled += got;
    }
    if (filled == 0) return {};
    size_ += static_cast<int64_t>(filled);
    if (max_size_ >= 0 && size_ > max_size_) {
      return fail(EFBIG, "content is larger than the limit of " + std::to_string(max_size_));
    }
    pipe_.publish(filled);
  }
}

Result<LayerStream::Summary> LayerStream::drain() {
  for (;;) {
    DAVIT_ASSIGN(std::span<const uint8_t> chunk, pipe_.next());
    if (chunk.empty()) break;
  }
  thread_.join();
  return Summary{digest_.finish(), size_};
}

}  // namespace davit::layer
