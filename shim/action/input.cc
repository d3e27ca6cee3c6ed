#include "shim/action/input.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace davit::shim {

namespace {

constexpr size_t kLimit = 10 * 1000 * 1000;
constexpr int kSilence = 1000;

}  // namespace

Result<std::string> read_input(int fd) {
  std::string input;
  if (::isatty(fd) != 0) return input;
  char buffer[4096];
  for (;;) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int polled = ::poll(&ready, 1, kSilence);
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return input;
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    // A closed stdin is an empty one.
    if (count < 0 && errno == EBADF) return input;
    if (count < 0) return fail_errno("read standard input");
    if (count == 0) return input;
    input.append(buffer, static_cast<size_t>(count));
    if (input.size() > kLimit) return fail(0, "standard input: larger than 10 MB");
  }
}

}  // namespace davit::shim
