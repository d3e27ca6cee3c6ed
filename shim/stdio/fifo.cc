#include "shim/stdio/fifo.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

namespace davit::shim::fifo {

namespace {

// The same FIFO once more: the path may be gone by now.
Result<Fd> reopen(const Fd& fd, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  Fd again(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!again) return fail_errno("reopen stdio FIFO");
  return again;
}

Result<Opened> open(const std::string& path, int plain_flags) {
  constexpr int kCommon = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  Fd fd(::open(path.c_str(), O_RDWR | kCommon));
  // A plain file may lie on a read-only file system.
  if (!fd) fd.reset(::open(path.c_str(), plain_flags | kCommon));
  if (!fd) return fail_errno("open stdio \"" + path + "\"");
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat stdio \"" + path + "\"");
  if (S_ISFIFO(st.st_mode)) return Opened{std::move(fd), true};
  fd.reset(::open(path.c_str(), plain_flags | O_CLOEXEC | O_NOCTTY));
  if (!fd) return fail_errno("open stdio \"" + path + "\"");
  return Opened{std::move(fd), false};
}

}  // namespace

Result<Opened> open_output(const std::string& path) {
  return open(path, O_WRONLY | O_APPEND);
}

Result<Opened> open_input(const std::string& path) {
  return open(path, O_RDONLY);
}

Result<Fd> reading_end(const Fd& fd) {
  return reopen(fd, O_RDONLY);
}

Result<Fd> writing_end(const Fd& fd) {
  return reopen(fd, O_WRONLY);
}

bool abandoned(const Fd& writing_end) {
  pollfd probe{.fd = writing_end.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&probe, 1, 0) > 0 && (probe.revents & POLLERR) != 0;
}

}  // namespace davit::shim::fifo
