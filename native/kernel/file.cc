#include "native/kernel/file.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace davit::kernel {
namespace {

std::string quoted(const char* verb, const char* path) {
  return std::string(verb) + " \"" + path + '"';
}

Result<> write_whole(int fd, std::string_view content) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write");
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<Fd> open_at(int dir, const char* path, int flags, mode_t mode) {
  for (;;) {
    Fd fd(::openat(dir, path, flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) return fail_errno(quoted("open", path));
  }
}

Result<std::string> read_all(int fd, std::size_t limit) {
  std::string content;
  std::size_t used = 0;
  for (;;) {
    if (used == content.size()) content.resize(used == 0 ? 1024 : used * 2);
    ssize_t n = ::read(fd, content.data() + used, content.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read");
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
    if (used > limit) return fail(EFBIG, "read");
  }
  content.resize(used);
  return content;
}

Result<std::string> read_file(int dir, const char* path, std::size_t limit) {
  DAVIT_ASSIGN(Fd fd, open_at(dir, path, O_RDONLY));
  auto content = read_all(fd.get(), limit);
  if (!content) return fail(content.error().code, quoted("read", path));
  return content;
}

Result<> write_value(int dir, const char* path, std::string_view value) {
  DAVIT_ASSIGN(Fd fd, open_at(dir, path, O_WRONLY));
  ssize_t n;
  do {
    n = ::write(fd.get(), value.data(), value.size());
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(value.size())) return {};
  std::string what = quoted("write", std::string(value).c_str()) + " to \"" + path + '"';
  return n < 0 ? fail_errno(std::move(what)) : fail(EIO, std::move(what));
}

Result<> replace_file(int dir, const char* name, std::string_view content, mode_t mode) {
  std::string temporary = std::string(name) + ".new";
  DAVIT_ASSIGN(Fd fd, open_at(dir, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, mode));
  if (auto written = write_whole(fd.get(), content); !written) {
    ::unlinkat(dir, temporary.c_str(), 0);
    return fail(written.error().code, quoted("write", name));
  }
  if (::renameat(dir, temporary.c_str(), dir, name) != 0) {
    auto failure = fail_errno(quoted("rename", name));
    ::unlinkat(dir, temporary.c_str(), 0);
    return failure;
  }
  return {};
}

Result<> make_dirs(int dir, const char* path, mode_t mode) {
  if (::mkdirat(dir, path, mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return fail_errno(quoted("mkdir", path));
  std::string prefix(path);
  for (std::size_t at = prefix.find('/', 1); at != std::string::npos;
       at = prefix.find('/', at + 1)) {
    prefix[at] = '\0';
    if (::mkdirat(dir, prefix.c_str(), mode) != 0 && errno != EEXIST)
      return fail_errno(quoted("mkdir", prefix.c_str()));
    prefix[at] = '/';
  }
  if (::mkdirat(dir, path, mode) != 0 && errno != EEXIST) return fail_errno(quoted("mkdir", path));
  return {};
}

}  // namespace davit::kernel
