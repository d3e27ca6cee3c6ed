#include "native/kernel/in_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <string>
#include <vector>

namespace davit::kernel {
namespace {

constexpr int kMaxLinks = 40;

std::unexpected<Error> fail_path(const char* verb, std::string_view path) {
  int code = errno;
  return fail(code, std::string(verb) + " \"" + std::string(path) + '"');
}

int open2(int root, const char* path, int flags, std::uint64_t resolve) {
  struct open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  // EAGAIN: something was renamed meanwhile and the kernel could not prove that we stayed inside.
  for (int tries = 0;; ++tries) {
    long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EINTR && !(errno == EAGAIN && tries < 128)) return -1;
  }
}

int open_prefix(int root, const std::string& path, int flags) {
  return open2(root, path.empty() ? "." : path.c_str(), flags,
               RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

// Components, last one first, so that the next is at the back.
void push_components(std::vector<std::string>& left, std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    auto slash = path.find('/');
    auto part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) left.emplace_back(*it);
}

// Walks `path` and makes directories as needed; `done` is always a path without links, and is only
// ever used through openat2 in the root, so a race can mislead but not escape.
class Walk {
 public:
  Walk(int root, std::string_view path, mode_t mode) : root_(root), mode_(mode) {
    push_components(left_, path);
  }

  Result<Fd> run(bool last_is_file) {
    Fd current(open_prefix(root_, done_, O_PATH | O_DIRECTORY));
    if (!current) return fail_path("open", "/");
    while (!left_.empty()) {
      std::string name = std::move(left_.back());
      left_.pop_back();
      if (name == "..") {
        done_.erase(done_.rfind('/') == std::string::npos ? 0 : done_.rfind('/'));
        current.reset(open_prefix(root_, done_, O_PATH | O_DIRECTORY));
        if (!current) return fail_path("open", done_);
        continue;
      }
      bool file = last_is_file && left_.empty();
      DAVIT_ASSIGN(Fd next, step(current.get(), name, file));
      if (next) current = std::move(next);
      if (restart_) {
        restart_ = false;
        current.reset(open_prefix(root_, done_, O_PATH | O_DIRECTORY));
        if (!current) return fail_path("open", done_);
      }
    }
    return current;
  }

 private:
  // One component below `parent`: an open descriptor, or an empty one when it was a link, whose
  // target is then on the list.
  Result<Fd> step(int parent, const std::string& name, bool file) {
    for (int tries = 0; tries < 16; ++tries) {
      Fd next(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (next) {
        struct stat st;
        if (::fstat(next.get(), &st) != 0) return fail_path("stat", name);
        if (S_ISLNK(st.st_mode)) return follow(next.get(), name);
        if (!S_ISDIR(st.st_mode) && !left_.empty()) return fail(ENOTDIR, "open \"" + name + '"');
        done_ += done_.empty() ? name : '/' + name;
        return next;
      }
      if (errno != ENOENT) return fail_path("open", name);
      if (!make(parent, name, file) && errno != EEXIST)
        return fail_path(file ? "create" : "mkdir", name);
    }
    return fail(EAGAIN, "open \"" + name + '"');
  }

  bool make(int parent, const std::string& name, bool file) {
    if (!file) return ::mkdirat(parent, name.c_str(), mode_) == 0;
    Fd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   mode_));
    return static_cast<bool>(fd);
  }

  Result<Fd> follow(int link, const std::string& name) {
    if (++links_ > kMaxLinks) return fail(ELOOP, "open \"" + name + '"');
    char target[PATH_MAX];
    ssize_t n = ::readlinkat(link, "", target, sizeof target);
    if (n < 0) return fail_path("readlink", name);
    std::string_view text(target, static_cast<std::size_t>(n));
    if (text.starts_with('/')) {
      done_.clear();
      restart_ = true;
    }
    push_components(left_, text);
    return Fd();
  }

  int root_;
  mode_t mode_;
  std::vector<std::string> left_;
  std::string done_;
  int links_ = 0;
  bool restart_ = false;
};

}  // namespace

Result<Fd> open_in_root(int root, std::string_view path, int flags) {
  Fd fd(open_prefix(root, std::string(path), flags));
  if (!fd) return fail_path("open", path);
  return fd;
}

Result<Fd> open_in_root_nofollow(int root, std::string_view path, int flags) {
  Fd fd(open2(root, std::string(path).c_str(), flags | O_NOFOLLOW,
              RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
  if (!fd) return fail_path("open", path);
  return fd;
}

Result<Fd> make_dir_in_root(int root, std::string_view path, mode_t mode) {
  Fd fd(open_prefix(root, std::string(path), O_PATH | O_DIRECTORY));
  if (fd) return fd;
  if (errno != ENOENT) return fail_path("open", path);
  auto made = Walk(root, path, mode).run(false);
  if (!made) return wrap("mkdir \"" + std::string(path) + '"', std::move(made).error());
  return made;
}

Result<Fd> make_file_in_root(int root, std::string_view path, mode_t mode) {
  Fd fd(open_prefix(root, std::string(path), O_PATH));
  if (fd) return fd;
  if (errno != ENOENT) return fail_path("open", path);
  auto made = Walk(root, path, mode).run(true);
  if (!made) return wrap("create \"" + std::string(path) + '"', std::move(made).error());
  return made;
}

}  // namespace davit::kernel
