#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "native/kernel/file.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

constexpr int kMaxDepth = 256;

Result<> copy_dir(int from, int to, int depth);

Result<> copy_attributes(int to, const char* name, const struct stat& st) {
  if (::fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno(std::string("change owner of \"") + name + '"');
  if (!S_ISLNK(st.st_mode) && ::fchmodat(to, name, st.st_mode & 07777, 0) != 0)
    return fail_errno(std::string("change mode of \"") + name + '"');
  return {};
}

Result<> copy_file(int from, int to, const char* name, const struct stat& st) {
  DAVIT_ASSIGN(Fd in, kernel::open_at(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  DAVIT_ASSIGN(Fd out, kernel::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  for (off_t left = st.st_size; left > 0;) {
    ssize_t n = ::sendfile(out.get(), in.get(), nullptr, static_cast<std::size_t>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(std::string("copy \"") + name + '"');
    if (n == 0) break;
    left -= n;
  }
  return {};
}

Result<> copy_entry(int from, int to, const char* name, int depth) {
  struct stat st;
  if (::fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno(std::string("stat \"") + name + '"');
  if (S_ISDIR(st.st_mode)) {
    if (::mkdirat(to, name, 0700) != 0) return fail_errno(std::string("mkdir \"") + name + '"');
    DAVIT_ASSIGN(Fd in, kernel::open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    DAVIT_ASSIGN(Fd out, kernel::open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    DAVIT_TRY(copy_dir(in.get(), out.get(), depth + 1));
  } else if (S_ISREG(st.st_mode)) {
    DAVIT_TRY(copy_file(from, to, name, st));
  } else if (S_ISLNK(st.st_mode)) {
    char target[PATH_MAX];
    ssize_t n = ::readlinkat(from, name, target, sizeof target - 1);
    if (n < 0) return fail_errno(std::string("readlink \"") + name + '"');
    target[n] = '\0';
    if (::symlinkat(target, to, name) != 0) return fail_errno(std::string("link \"") + name + '"');
  } else {
    return {};  // nodes and sockets stay behind
  }
  return copy_attributes(to, name, st);
}

Result<> copy_dir(int from, int to, int depth) {
  if (depth > kMaxDepth) return fail(ELOOP, "copy");
  DAVIT_ASSIGN(Fd again, kernel::open_at(from, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(again.get()), ::closedir);
  if (!list) return fail_errno("list");
  (void)again.release();
  while (const struct dirent* entry = ::readdir(list.get())) {
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    DAVIT_TRY(copy_entry(from, to, entry->d_name, depth));
  }
  return {};
}

}  // namespace

Result<> copy_up(int from, int to) {
  struct stat st;
  if (::fstat(from, &st) != 0) return fail_errno("stat");
  DAVIT_TRY(copy_dir(from, to, 0));
  return copy_attributes(to, ".", st);
}

}  // namespace davit::oci
