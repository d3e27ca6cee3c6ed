#include "native/layer/write_all.h"

#include <unistd.h>

namespace davit::layer {
namespace {

template <typename Put>
Result<> all(std::span<const uint8_t> bytes, const char* what, Put put) {
  while (!bytes.empty()) {
    ssize_t done = put(bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail_errno(what);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return {};
}

}  // namespace

Result<> write_all(int fd, std::span<const uint8_t> bytes, const char* what) {
  return all(bytes, what, [fd](auto left) { return write(fd, left.data(), left.size()); });
}

Result<> write_all_at(int fd, std::span<const uint8_t> bytes, int64_t offset, const char* what) {
  return all(bytes, what, [fd, &offset](auto left) {
    ssize_t done = pwrite(fd, left.data(), left.size(), offset);
    if (done > 0) offset += done;
    return done;
  });
}

}  // namespace davit::layer
