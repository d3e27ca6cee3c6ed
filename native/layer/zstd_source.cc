#include <zstd.h>

#include "native/layer/input_buffer.h"

namespace davit::layer {
namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Context = std::unique_ptr<ZSTD_DCtx, FreeContext>;

class ZstdSource : public ByteSource {
 public:
  ZstdSource(InputBuffer input, Context context)
      : input_(std::move(input)), context_(std::move(context)) {}

  Result<size_t> read(std::span<uint8_t> out) override {
    for (;;) {
      bool exhausted = false;
      if (input_.available().empty()) {
        DAVIT_ASSIGN(size_t got, input_.refill());
        exhausted = got == 0;
        if (exhausted && frame_done_) return 0;
      }
      std::span<const uint8_t> ready = input_.available();
      ZSTD_inBuffer in{ready.data(), ready.size(), 0};
      ZSTD_outBuffer space{out.data(), out.size(), 0};
      size_t hint = ZSTD_decompressStream(context_.get(), &space, &in);
      input_.consume(in.pos);
      if (ZSTD_isError(hint)) return fail(EBADMSG, std::string("zstd: ") + ZSTD_getErrorName(hint));
      frame_done_ = hint == 0;
      if (space.pos > 0) return space.pos;
      if (exhausted && !frame_done_) return fail(EBADMSG, "zstd: unexpected end of data");
    }
  }

 private:
  InputBuffer input_;
  Context context_;
  bool frame_done_ = true;  // between frames, where the data may end
};

}  // namespace

Result<std::unique_ptr<ByteSource>> zstd_source(InputBuffer input) {
  Context context(ZSTD_createDCtx());
  if (!context) return fail(ENOMEM, "zstd: create context");
  return std::make_unique<ZstdSource>(std::move(input), std::move(context));
}

}  // namespace davit::layer
