#include "native/layer/compress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

namespace davit::layer {
namespace {

constexpr size_t kOutput = 256 * 1024;

class Plain : public Compressor {
 public:
  Result<> add(std::span<const uint8_t> bytes, bool, const Sink& sink) override {
    return sink(bytes);
  }
};

class Gzip : public Compressor {
 public:
  Gzip()
      : stream_(std::make_unique<isal_zstream>()),
        level_(std::make_unique_for_overwrite<uint8_t[]>(ISAL_DEF_LVL3_DEFAULT)),
        output_(std::make_unique_for_overwrite<uint8_t[]>(kOutput)) {
    isal_deflate_init(stream_.get());
    stream_->gzip_flag = IGZIP_GZIP;
    stream_->level = 3;
    stream_->level_buf = level_.get();
    stream_->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
  }

  Result<> add(std::span<const uint8_t> bytes, bool last, const Sink& sink) override {
    // isal_deflate takes pointers to mutable input but only reads it.
    stream_->next_in = const_cast<uint8_t*>(bytes.data());
    stream_->avail_in = static_cast<uint32_t>(bytes.size());
    stream_->end_of_stream = last ? 1 : 0;
    do {
      stream_->next_out = output_.get();
      stream_->avail_out = kOutput;
      if (int status = isal_deflate(stream_.get()); status != COMP_OK) {
        return fail(0, "gzip: cannot compress, status " + std::to_string(status));
      }
      DAVIT_TRY(sink({output_.get(), kOutput - stream_->avail_out}));
    } while (stream_->avail_in > 0 || stream_->avail_out == 0 ||
             (last && stream_->internal_state.state != ZSTATE_END));
    return {};
  }

 private:
  std::unique_ptr<isal_zstream> stream_;
  std::unique_ptr<uint8_t[]> level_;
  std::unique_ptr<uint8_t[]> output_;
};

class Zstd : public Compressor {
 public:
  explicit Zstd(ZSTD_CCtx* context)
      : context_(context), output_(std::make_unique_for_overwrite<uint8_t[]>(kOutput)) {
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }

  Result<> add(std::span<const uint8_t> bytes, bool last, const Sink& sink) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{output_.get(), kOutput, 0};
      size_t left =
          ZSTD_compressStream2(context_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) return fail(0, std::string("zstd: ") + ZSTD_getErrorName(left));
      DAVIT_TRY(sink({output_.get(), out.pos}));
      if (last ? left == 0 : in.pos == in.size) return {};
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  std::unique_ptr<uint8_t[]> output_;
};

}  // namespace

Result<std::unique_ptr<Compressor>> compressor(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return std::make_unique<Plain>();
    case Compression::kGzip:
      return std::make_unique<Gzip>();
    case Compression::kZstd:
      if (ZSTD_CCtx* context = ZSTD_createCCtx()) return std::make_unique<Zstd>(context);
      return fail(ENOMEM, "zstd: create context");
    default:
      return fail(EINVAL, "no compression to write");
  }
}

}  // namespace davit::layer
