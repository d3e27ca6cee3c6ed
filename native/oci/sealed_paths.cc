#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/oci/rootfs.h"

namespace davit::oci {
namespace {

// Proven to be the null device: what a path is hidden under must not be of somebody's choosing
// (CVE-2025-31133).
Result<Fd> open_null() {
  DAVIT_ASSIGN(Fd null, kernel::open_at(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW));
  struct stat st;
  if (::fstat(null.get(), &st) != 0) return fail_errno("stat \"/dev/null\"");
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
    return fail(EINVAL, "\"/dev/null\" is not the null device");
  return null;
}

// One empty read-only file system covers all hidden directories.
class Covers {
 public:
  Result<> hide(int path) {
    struct stat st;
    if (::fstat(path, &st) != 0) return fail_errno("stat");
    if (!S_ISDIR(st.st_mode)) {
      if (!null_) {
        DAVIT_ASSIGN(null_, open_null());
      }
      DAVIT_ASSIGN(Fd cover, kernel::clone_tree(null_.get(), "", false));
      return kernel::attach(cover.get(), path);
    }
    if (empty_) {
      DAVIT_ASSIGN(Fd cover, kernel::clone_tree(empty_.get(), "", false));
      return kernel::attach(cover.get(), path);
    }
    DAVIT_ASSIGN(empty_,
                 kernel::make_filesystem(
                     "tmpfs", {{"size", "0"}, {"nr_inodes", "2"}, {"mode", "755"}},
                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    return kernel::attach(empty_.get(), path);
  }

 private:
  Fd null_, empty_;
};

Result<> make_read_only(int path) {
  DAVIT_ASSIGN(Fd tree, kernel::clone_tree(path, "", true));
  DAVIT_TRY(kernel::set_attributes(tree.get(), {.set = MOUNT_ATTR_RDONLY}, true));
  return kernel::attach(tree.get(), path);
}

// Calls `seal(fd)` for every path that exists.
template <typename Seal>
Result<> for_existing(int root, const std::vector<std::string>& paths, const char* what,
                      const Seal& seal) {
  for (const std::string& path : paths) {
    auto found = kernel::open_in_root(root, path, O_PATH);
    if (!found && (found.error().code == ENOENT || found.error().code == ENOTDIR)) continue;
    Result<> sealed = found ? seal(found->get()) : std::unexpected(std::move(found).error());
    if (!sealed) return wrap(what + (" \"" + path + '"'), std::move(sealed).error());
  }
  return {};
}

}  // namespace

Result<> seal_rootfs(const RootfsContext& context) {
  int root = context.sources.root.get();
  DAVIT_TRY(for_existing(root, context.spec.readonly_paths, "make read-only", make_read_only));
  Covers covers;
  DAVIT_TRY(for_existing(root, context.spec.masked_paths, "mask",
                         [&](int path) { return covers.hide(path); }));
  if (context.spec.root_readonly)
    DAVIT_TRY(kernel::set_attributes(root, {.set = MOUNT_ATTR_RDONLY}, false));
  return {};
}

}  // namespace davit::oci
