#include <isa-l/igzip_lib.h>

#include <algorithm>

#include "native/layer/input_buffer.h"

namespace davit::layer {
namespace {

const char* words(int status) {
  switch (status) {
    case ISAL_INVALID_BLOCK:
      return "invalid block";
    case ISAL_INVALID_SYMBOL:
      return "invalid symbol";
    case ISAL_INVALID_LOOKBACK:
      return "invalid distance";
    case ISAL_INVALID_WRAPPER:
      return "invalid header";
    case ISAL_UNSUPPORTED_METHOD:
      return "unsupported compression method";
    case ISAL_INCORRECT_CHECKSUM:
      return "checksum mismatch";
    default:
      return "corrupt data";
  }
}

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(InputBuffer input)
      : input_(std::move(input)), state_(std::make_unique<inflate_state>()) {
    start_member();
  }

  Result<size_t> read(std::span<uint8_t> out) override {
    while (!ended_) {
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        DAVIT_TRY(between_members());
        continue;
      }
      bool exhausted = false;
      if (input_.available().empty()) {
        DAVIT_ASSIGN(size_t got, input_.refill());
        exhausted = got == 0;
      }
      std::span<const uint8_t> ready = input_.available();
      // isal_inflate takes pointers to mutable input but only reads it.
      state_->next_in = const_cast<uint8_t*>(ready.data());
      state_->avail_in = static_cast<uint32_t>(ready.size());
      state_->next_out = out.data();
      state_->avail_out = static_cast<uint32_t>(std::min<size_t>(out.size(), UINT32_MAX));
      int status = isal_inflate(state_.get());
      input_.consume(ready.size() - state_->avail_in);
      if (status < 0) return fail(EBADMSG, std::string("gzip: ") + words(status));
      size_t produced = static_cast<size_t>(state_->next_out - out.data());
      if (produced > 0) return produced;
      if (exhausted && state_->block_state != ISAL_BLOCK_FINISH) {
        return fail(EBADMSG, "gzip: unexpected end of data");
      }
    }
    return 0;
  }

 private:
  void start_member() {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  // After a member: another member, zero padding to the end, or the end.
  Result<> between_members() {
    while (input_.available().size() < 2) {
      DAVIT_ASSIGN(size_t got, input_.refill());
      if (got == 0) break;
    }
    std::span<const uint8_t> rest = input_.available();
    if (rest.empty()) {
      ended_ = true;
    } else if (rest[0] == 0) {
      while (!rest.empty()) {
        if (std::any_of(rest.begin(), rest.end(), [](uint8_t byte) { return byte != 0; })) {
          return fail(EBADMSG, "gzip: garbage after the data");
        }
        input_.consume(rest.size());
        DAVIT_TRY(input_.refill());
        rest = input_.available();
      }
      ended_ = true;
    } else if (rest.size() >= 2 && rest[0] == 0x1f && rest[1] == 0x8b) {
      start_member();
    } else {
      return fail(EBADMSG, "gzip: garbage after the data");
    }
    return {};
  }

  InputBuffer input_;
  std::unique_ptr<inflate_state> state_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> gzip_source(InputBuffer input) {
  return std::make_unique<GzipSource>(std::move(input));
}

}  // namespace davit::layer
