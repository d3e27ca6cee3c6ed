#include "native/layer/metadata.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <vector>

#include "native/layer/copy_range.h"

namespace davit::layer {
namespace {

// Shares the content if the file system can, else copies it hole by hole.
Result<> copy_content(int from, int to, off_t size) {
  if (size == 0 || ioctl(to, FICLONE, from) == 0) return {};
  if (ftruncate(to, size) < 0) return fail_errno("set file size");
  off_t at = 0;
  while (at < size) {
    off_t begin = lseek(from, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    off_t end = begin < 0 ? -1 : lseek(from, begin, SEEK_HOLE);
    if (begin < 0 || end < 0) {
      begin = at;
      end = size;
    }
    DAVIT_TRY(copy_range(from, begin, to, begin, std::min(end, size) - begin));
    at = end;
  }
  return {};
}

Result<> copy_regular(int from, int to, const std::string& name, const struct stat& info) {
  Fd source(openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source) return fail_errno("open \"" + name + "\"");
  Fd copy(openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy) return fail_errno("create \"" + name + "\"");
  DAVIT_TRY(copy_content(source.get(), copy.get(), info.st_size));
  DAVIT_TRY(copy_ownership(source.get(), info, copy.get()));
  timespec times[2] = {info.st_atim, info.st_mtim};
  if (futimens(copy.get(), times) < 0) return fail_errno("set times of \"" + name + "\"");
  return {};
}

Result<> create_special(int from, int to, const std::string& name, const struct stat& info) {
  if (!S_ISLNK(info.st_mode)) {
    if (mknodat(to, name.c_str(), info.st_mode, info.st_rdev) < 0) {
      return fail_errno("create \"" + name + "\"");
    }
    return {};
  }
  std::string target(static_cast<size_t>(PATH_MAX), '\0');
  ssize_t length = readlinkat(from, name.c_str(), target.data(), target.size());
  if (length < 0) return fail_errno("read link \"" + name + "\"");
  target.resize(static_cast<size_t>(length));
  if (symlinkat(target.c_str(), to, name.c_str()) < 0) return fail_errno("create \"" + name + "\"");
  return {};
}

}  // namespace

std::string proc_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

bool is_opaque(int fd, OverlayMarks marks) {
  char value = 0;
  return fgetxattr(fd, marks.opaque(), &value, 1) == 1 && value == 'y';
}

Result<> set_xattr(int fd, const std::string& key, const std::string& value) {
  if (setxattr(proc_path(fd).c_str(), key.c_str(), value.data(), value.size(), 0) == 0) return {};
  if (errno == ENOTSUP) return {};
  return fail_errno("set extended attribute \"" + key + "\"");
}

Result<> copy_xattrs(int from, int to) {
  std::string source = proc_path(from);
  ssize_t size = listxattr(source.c_str(), nullptr, 0);
  if (size == 0 || (size < 0 && errno == ENOTSUP)) return {};
  std::vector<char> names(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  if (size > 0) size = listxattr(source.c_str(), names.data(), names.size());
  if (size < 0) return fail_errno("list extended attributes");
  std::string value(XATTR_SIZE_MAX, '\0');
  for (const char* name = names.data(); name < names.data() + size;) {
    std::string key = name;
    name += key.size() + 1;
    if (key.starts_with("trusted.overlay.") || key.starts_with("user.overlay.")) continue;
    ssize_t length = getxattr(source.c_str(), key.c_str(), value.data(), value.size());
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return fail_errno("read extended attribute \"" + key + "\"");
    DAVIT_TRY(set_xattr(to, key, value.substr(0, static_cast<size_t>(length))));
  }
  return {};
}

Result<> copy_ownership(int from, const struct stat& info, int to) {
  if (fchown(to, info.st_uid, info.st_gid) < 0) return fail_errno("set owner");
  DAVIT_TRY(copy_xattrs(from, to));
  if (fchmod(to, info.st_mode & 07777) < 0) return fail_errno("set mode");
  return {};
}

Result<> copy_file(int from, int to, const std::string& name) {
  struct stat info;
  if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("stat \"" + name + "\"");
  }
  if (S_ISREG(info.st_mode)) return copy_regular(from, to, name, info);
  DAVIT_TRY(create_special(from, to, name, info));
  Fd source(openat(from, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  Fd copy(openat(to, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!source || !copy) return fail_errno("open \"" + name + "\"");
  if (fchownat(copy.get(), "", info.st_uid, info.st_gid, AT_EMPTY_PATH) < 0) {
    return fail_errno("set owner of \"" + name + "\"");
  }
  DAVIT_TRY(copy_xattrs(source.get(), copy.get()));
  if (!S_ISLNK(info.st_mode) && chmod(proc_path(copy.get()).c_str(), info.st_mode & 07777) < 0) {
    return fail_errno("set mode of \"" + name + "\"");
  }
  timespec times[2] = {info.st_atim, info.st_mtim};
  if (utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("set times of \"" + name + "\"");
  }
  return {};
}

}  // namespace davit::layer
