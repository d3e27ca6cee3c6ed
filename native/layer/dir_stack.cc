#include "native/layer/dir_stack.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdint>
#include <memory>

namespace davit::layer {
namespace {

constexpr size_t kListBuffer = 64 * 1024;

Fd open_beneath(int parent, const char* name, bool mounts) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  if (!mounts) how.resolve |= RESOLVE_NO_XDEV;
  long fd;
  do {
    fd = syscall(SYS_openat2, parent, name, &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  return Fd(static_cast<int>(fd));
}

}  // namespace

Result<DirStack> DirStack::open(Fd root, std::string label, bool mounts) {
  DirStack stack(std::move(label), mounts);
  DAVIT_TRY(stack.push(std::move(root), ""));
  return stack;
}

Result<> DirStack::push(Fd fd, std::string name) {
  struct stat info;
  if (fstat(fd.get(), &info) < 0) return fail_errno("stat \"" + path(name) + "\"");
  if (!S_ISDIR(info.st_mode)) return fail(ENOTDIR, "enter \"" + path(name) + "\"");
  levels_.push_back({std::move(fd), info.st_dev, info.st_ino, std::move(name)});
  return {};
}

Result<> DirStack::enter(const std::string& name) {
  Fd child = open_beneath(fd(), name.c_str(), mounts_);
  if (!child) return fail_errno("open directory \"" + path(name) + "\"");
  DAVIT_TRY(push(std::move(child), name));
  if (levels_.size() > kOpenLevels) levels_[levels_.size() - 1 - kOpenLevels].fd.reset();
  return {};
}

Result<> DirStack::leave() {
  Level left = std::move(levels_.back());
  levels_.pop_back();
  Level& parent = levels_.back();
  if (parent.fd) return {};
  parent.fd = Fd(openat(left.fd.get(), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!parent.fd) return fail_errno("open parent of \"" + path(left.name) + "\"");
  struct stat info;
  if (fstat(parent.fd.get(), &info) < 0) return fail_errno("stat \"" + path("") + "\"");
  if (info.st_dev != parent.device || info.st_ino != parent.inode) {
    return fail(ESTALE, "directory \"" + path(left.name) + "\" was moved");
  }
  return {};
}

Result<std::vector<DirEntry>> DirStack::list() const {
  Result<std::vector<DirEntry>> entries = list_directory(fd());
  if (!entries) return wrap("\"" + path("") + "\"", std::move(entries).error());
  return entries;
}

std::string DirStack::path(const std::string& name) const {
  std::string inside = path_in_root(name);
  return inside.empty() ? label_ : label_ + "/" + inside;
}

std::string DirStack::path_in_root(const std::string& name) const {
  std::string result;
  auto append = [&](const std::string& part) {
    if (part.empty()) return;
    if (!result.empty()) result += '/';
    result += part;
  };
  for (const Level& level : levels_) append(level.name);
  append(name);
  return result;
}

Result<std::vector<DirEntry>> list_directory(int fd) {
  std::vector<DirEntry> entries;
  auto buffer = std::make_unique_for_overwrite<char[]>(kListBuffer);
  if (lseek(fd, 0, SEEK_SET) < 0) return fail_errno("rewind directory");
  for (;;) {
    ssize_t got = getdents64(fd, buffer.get(), kListBuffer);
    if (got < 0 && errno != ENOENT) return fail_errno("read directory");
    if (got <= 0) return entries;
    for (ssize_t at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.get() + at);
      at += entry->d_reclen;
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type});
    }
  }
}

}  // namespace davit::layer
