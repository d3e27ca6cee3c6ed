#include "native/layer/same_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "native/kernel/fd.h"
#include "native/layer/metadata.h"

namespace davit::layer {
namespace {

constexpr size_t kBuffer = 128 * 1024;

std::string capability(int parent, const std::string& name) {
  Fd fd(openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  char value[256];
  ssize_t length =
      fd ? getxattr(proc_path(fd.get()).c_str(), "security.capability", value, sizeof value) : -1;
  return std::string(value, length < 0 ? 0 : static_cast<size_t>(length));
}

Result<std::string> target(int parent, const std::string& name) {
  std::string text(PATH_MAX, '\0');
  ssize_t length = readlinkat(parent, name.c_str(), text.data(), text.size());
  if (length < 0) return fail_errno("read link \"" + name + "\"");
  text.resize(static_cast<size_t>(length));
  return text;
}

Result<size_t> read_full(int fd, char* buffer) {
  size_t filled = 0;
  while (filled < kBuffer) {
    ssize_t got = read(fd, buffer + filled, kBuffer - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

Result<bool> same_content(const std::string& name, int left, int right, const Cancel& cancel) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  Fd a(openat(left, name.c_str(), kFlags));
  Fd b(openat(right, name.c_str(), kFlags));
  if (!a || !b) return fail_errno("open \"" + name + "\"");
  auto buffer = std::make_unique_for_overwrite<char[]>(2 * kBuffer);
  for (;;) {
    DAVIT_TRY(cancel.check());
    DAVIT_ASSIGN(size_t got_a, read_full(a.get(), buffer.get()));
    DAVIT_ASSIGN(size_t got_b, read_full(b.get(), buffer.get() + kBuffer));
    if (got_a != got_b || std::memcmp(buffer.get(), buffer.get() + kBuffer, got_a) != 0)
      return false;
    if (got_a < kBuffer) return true;
  }
}

}  // namespace

Result<bool> same_file(const std::string& name, const Side& left, const Side& right,
                       const Cancel& cancel) {
  const struct stat& a = left.info;
  const struct stat& b = right.info;
  if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) return true;
  if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid) return false;
  bool device = S_ISCHR(a.st_mode) || S_ISBLK(a.st_mode);
  if (device && a.st_rdev != b.st_rdev) return false;
  if (S_ISREG(a.st_mode) && capability(left.parent, name) != capability(right.parent, name)) {
    return false;
  }
  if (S_ISDIR(a.st_mode)) return true;
  if (a.st_size != b.st_size || a.st_mtim.tv_sec != b.st_mtim.tv_sec) return false;
  // Times without nanoseconds come from an archive and say less.
  if (a.st_mtim.tv_nsec != 0 || b.st_mtim.tv_nsec != 0) {
    return a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
  }
  if (S_ISLNK(a.st_mode)) {
    DAVIT_ASSIGN(std::string target_a, target(left.parent, name));
    DAVIT_ASSIGN(std::string target_b, target(right.parent, name));
    return target_a == target_b;
  }
  if (S_ISREG(a.st_mode) && a.st_size > 0)
    return same_content(name, left.parent, right.parent, cancel);
  return true;
}

}  // namespace davit::layer
