#include "native/kernel/proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <string>

#include "native/kernel/file.h"

namespace davit::kernel {

bool is_procfs(int fd) {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

Result<Fd> open_proc() {
  constexpr ino_t kProcRoot = 1;
  DAVIT_ASSIGN(Fd proc, open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct stat st;
  if (!is_procfs(proc.get()) || ::fstat(proc.get(), &st) != 0 || st.st_ino != kProcRoot)
    return fail(EXDEV, "\"/proc\" is not a procfs");
  return proc;
}

Result<Fd> open_in_proc(int proc, const char* path, int flags) {
  struct open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  // Links are allowed for "self", which stays on the mount.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, proc, path, &how, sizeof how)));
  if (!fd) return fail_errno(std::string("open \"/proc/") + path + '"');
  return fd;
}

}  // namespace davit::kernel
