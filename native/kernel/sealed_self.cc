#include "native/kernel/sealed_self.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace davit::kernel {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr unsigned kMfdExec = 0x10;

Result<Fd> detached_read_only_mount() {
  Fd tree(::open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return fail_errno("open_tree \"/proc/self/exe\"");
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attr.propagation = MS_PRIVATE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
    return fail_errno("mount_setattr \"/proc/self/exe\"");
  return tree;
}

Result<Fd> sealed_copy() {
  Fd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!self) return fail_errno("open \"/proc/self/exe\"");
  struct stat st;
  if (::fstat(self.get(), &st) != 0) return fail_errno("stat \"/proc/self/exe\"");
  // MFD_EXEC is unknown before Linux 6.3, and needed after it where vm.memfd_noexec is set.
  Fd copy(::memfd_create("davit-self", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdExec));
  if (!copy && errno == EINVAL)
    copy.reset(::memfd_create("davit-self", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy) return fail_errno("memfd_create");
  for (off_t left = st.st_size; left > 0;) {
    ssize_t n = ::sendfile(copy.get(), self.get(), nullptr, static_cast<std::size_t>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno("copy \"/proc/self/exe\"");
    left -= n;
  }
  if (::fchmod(copy.get(), 0500) != 0) return fail_errno("chmod memfd");
  if (::fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno("seal memfd");
  return copy;
}

}  // namespace

int seal_mount = -1;

void let_go_of_seal() {
  if (seal_mount >= 0) ::close(seal_mount);
  seal_mount = -1;
}

bool running_sealed() {
  Fd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!self) return false;
  if (int seals = ::fcntl(self.get(), F_GET_SEALS); seals >= 0) return (seals & kSeals) == kSeals;
  struct statvfs fs;
  return ::fstatvfs(self.get(), &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0;
}

Result<> run_sealed(char** argv) {
  if (running_sealed()) return {};
  // The mount costs no memory; a kernel or a sandbox may refuse it.
  auto self = detached_read_only_mount();
  if (!self) self = sealed_copy();
  if (!self) return std::unexpected(std::move(self).error());
  ::syscall(SYS_execveat, self->get(), "", argv, environ, AT_EMPTY_PATH);
  return fail_errno("run from a sealed file");
}

}  // namespace davit::kernel
