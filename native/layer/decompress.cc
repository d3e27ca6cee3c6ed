#include "native/layer/decompress.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "native/layer/input_buffer.h"

namespace davit::layer {
namespace {

class FileSource : public ByteSource {
 public:
  FileSource(Fd fd, int64_t offset, int64_t length)
      : fd_(std::move(fd)), offset_(offset), left_(length) {
    posix_fadvise(fd_.get(), offset, std::max<int64_t>(length, 0), POSIX_FADV_SEQUENTIAL);
  }

  Result<size_t> read(std::span<uint8_t> out) override {
    size_t want = out.size();
    if (left_ >= 0)
      want = static_cast<size_t>(std::min<int64_t>(left_, static_cast<int64_t>(want)));
    if (want == 0) return 0;
    ssize_t got;
    do {
      got = pread(fd_.get(), out.data(), want, offset_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail_errno("read blob at " + std::to_string(offset_));
    if (got == 0 && left_ > 0) {
      return fail(EIO, "read blob: unexpected end at " + std::to_string(offset_));
    }
    offset_ += got;
    if (left_ >= 0) left_ -= got;
    return static_cast<size_t>(got);
  }

 private:
  Fd fd_;
  int64_t offset_;
  int64_t left_;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(InputBuffer input) : input_(std::move(input)) {}

  Result<size_t> read(std::span<uint8_t> out) override {
    if (input_.available().empty()) DAVIT_TRY(input_.refill());
    std::span<const uint8_t> ready = input_.available();
    size_t count = std::min(ready.size(), out.size());
    std::memcpy(out.data(), ready.data(), count);
    input_.consume(count);
    return count;
  }

 private:
  InputBuffer input_;
};

bool starts_with(std::span<const uint8_t> bytes, std::initializer_list<uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

// A zstd stream may open with a skippable frame, whose magic is 0x184D2A50 to 0x184D2A5F.
bool is_zstd(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, {0x28, 0xb5, 0x2f, 0xfd})) return true;
  return bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes[1] == 0x2a && bytes[2] == 0x4d &&
         bytes[3] == 0x18;
}

}  // namespace

Result<size_t> InputBuffer::refill() {
  if (begin_ > 0) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  DAVIT_ASSIGN(size_t got, source_->read({bytes_.get() + end_, kCapacity - end_}));
  end_ += got;
  return got;
}

std::unique_ptr<ByteSource> file_source(Fd fd, int64_t offset, int64_t length) {
  return std::make_unique<FileSource>(std::move(fd), offset, length);
}

Result<std::unique_ptr<ByteSource>> decompress(std::unique_ptr<ByteSource> source,
                                               Compression compression) {
  InputBuffer input(std::move(source));
  if (compression == Compression::kDetect) {
    constexpr size_t kLongestMagic = 4;
    while (input.available().size() < kLongestMagic) {
      DAVIT_ASSIGN(size_t got, input.refill());
      if (got == 0) break;
    }
    compression = Compression::kNone;
    if (starts_with(input.available(), {0x1f, 0x8b, 0x08})) compression = Compression::kGzip;
    if (is_zstd(input.available())) compression = Compression::kZstd;
  }
  if (compression == Compression::kGzip) return gzip_source(std::move(input));
  if (compression == Compression::kZstd) return zstd_source(std::move(input));
  return std::make_unique<PlainSource>(std::move(input));
}

}  // namespace davit::layer
