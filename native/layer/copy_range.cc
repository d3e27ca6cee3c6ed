#include "native/layer/copy_range.h"

#include <unistd.h>

#include <algorithm>
#include <memory>

#include "native/layer/write_all.h"

namespace davit::layer {
namespace {

constexpr size_t kCopyBuffer = 256 * 1024;

}  // namespace

Result<> copy_range(int from, off_t in, int to, off_t out, off_t length) {
  off_t end = in + length;
  while (in < end) {
    ssize_t got = copy_file_range(from, &in, to, &out, static_cast<size_t>(end - in), 0);
    if (got > 0) continue;
    if (got == 0) return {};
    if (errno == EINTR) continue;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
      return fail_errno("copy file data");
    }
    break;
  }
  auto buffer = std::make_unique_for_overwrite<uint8_t[]>(kCopyBuffer);
  while (in < end) {
    size_t want = std::min(kCopyBuffer, static_cast<size_t>(end - in));
    ssize_t got = pread(from, buffer.get(), want, in);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read file data");
    if (got == 0) return {};
    std::span<const uint8_t> bytes(buffer.get(), static_cast<size_t>(got));
    DAVIT_TRY(write_all_at(to, bytes, out, "write file data"));
    in += got;
    out += got;
  }
  return {};
}

}  // namespace davit::layer
