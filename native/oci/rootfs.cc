#include "native/oci/rootfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/oci/mount_options.h"

namespace davit::oci {
namespace {

Result<> change_propagation(const char* path, unsigned long flags) {
  if (::mount("", path, "", flags, nullptr) != 0)
    return fail_errno(std::string("set the propagation of \"") + path + '"');
  return {};
}

Result<unsigned long> propagation_of(const std::string& name) {
  if (name.empty() || name == "rslave") return MS_SLAVE | MS_REC;
  if (name == "slave") return MS_SLAVE | 0UL;
  if (name == "private") return MS_PRIVATE | 0UL;
  if (name == "rprivate") return MS_PRIVATE | MS_REC;
  if (name == "shared") return MS_SHARED | 0UL;
  if (name == "rshared") return MS_SHARED | MS_REC;
  if (name == "unbindable") return MS_UNBINDABLE | 0UL;
  if (name == "runbindable") return MS_UNBINDABLE | MS_REC;
  return fail(EINVAL, "linux.rootfsPropagation: unknown value \"" + name + '"');
}

}  // namespace

Result<HostHandles> open_host_handles() {
  HostHandles host;
  DAVIT_ASSIGN(host.null, kernel::open_at(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW));
  struct stat st;
  if (::fstat(host.null.get(), &st) != 0) return fail_errno("stat \"/dev/null\"");
  if (!S_ISCHR(st.st_mode) || st.st_rdev != ::makedev(1, 3))
    return fail(0, "\"/dev/null\" is not the null device");
  DAVIT_ASSIGN(host.proc, kernel::open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct statfs fs;
  if (::fstatfs(host.proc.get(), &fs) != 0) return fail_errno("stat \"/proc\"");
  if (fs.f_type != PROC_SUPER_MAGIC) return fail(0, "\"/proc\" is not a proc file system");
  return host;
}

Result<Rootfs> Rootfs::open(const std::string& path, const Spec& spec) {
  DAVIT_ASSIGN(unsigned long propagation, propagation_of(spec.rootfs_propagation));
  // What happens inside must not reach the host, unless that is asked for: then it is shared with
  // the root's own mount only, after pivot_root.
  bool shared = (propagation & (MS_SHARED | MS_UNBINDABLE)) != 0;
  DAVIT_TRY(change_propagation("/", shared ? MS_SLAVE | MS_REC : propagation));
  Rootfs rootfs;
  rootfs.path_ = path;
  DAVIT_ASSIGN(Fd tree, kernel::clone_tree(AT_FDCWD, path.c_str(), true));
  // pivot_root(2) demands that the new root's parent is not shared.
  kernel::MountAttributes slave;
  slave.propagation = MS_PRIVATE;
  DAVIT_TRY(kernel::set_attributes(tree.get(), slave, false));
  DAVIT_ASSIGN(Fd at, kernel::open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  // Where the bundle lies on a shared mount, attaching there would show on the host.
  if (auto attached = kernel::attach(tree.get(), at.get()); !attached)
    return wrap("mount the root \"" + path + '"', attached.error());
  DAVIT_ASSIGN(rootfs.root_, kernel::open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  return rootfs;
}

Result<Fd> Rootfs::destination(const std::string& path, const char* type, bool directory) {
  // procfs and sysfs at a place that the image chose would be trusted later by their path.
  bool trusted_later = std::string_view(type) == "proc" || std::string_view(type) == "sysfs";
  if (trusted_later) {
    auto there = kernel::open_in_root_nofollow(root_.get(), path, O_PATH | O_DIRECTORY);
    if (there) return there;
    if (there.error().code != ENOENT) return there;
  }
  auto made = directory ? kernel::make_dir_in_root(root_.get(), path, 0755)
                        : kernel::make_file_in_root(root_.get(), path, 0755);
  if (!made || !trusted_later) return made;
  return kernel::open_in_root_nofollow(root_.get(), path, O_PATH | O_DIRECTORY);
}

Result<> Rootfs::mount(const Mount& one, const Spec& spec, const std::string& bundle,
                       const Cgroup& cgroup) {
  auto done = [&]() -> Result<> {
    if (one.type == "cgroup" || one.type == "cgroup2") return mount_cgroup(one, spec, cgroup);
    DAVIT_ASSIGN(MountOptions options, parse_mount_options(one.options));
    if (options.bind || one.type == "bind") return mount_bind(one, bundle);
    return mount_filesystem(one);
  }();
  if (done) return {};
  std::string what = "mount \"" + (one.source.empty() ? one.type : one.source) + "\" to \"" +
                     one.destination + '"';
  return wrap(std::move(what), done.error());
}

Result<> Rootfs::mount_bind(const Mount& one, const std::string& bundle) {
  DAVIT_ASSIGN(MountOptions options, parse_mount_options(one.options));
  std::string source = one.source.starts_with('/') ? one.source : bundle + "/" + one.source;
  struct stat st;
  if (::stat(source.c_str(), &st) != 0) return fail_errno("stat \"" + source + '"');
  DAVIT_ASSIGN(Fd tree, kernel::clone_tree(AT_FDCWD, source.c_str(), options.recursive));
  if (!options.attributes.empty())
    DAVIT_TRY(kernel::set_attributes(tree.get(), options.attributes, false));
  if (!options.recursive_attributes.empty())
    DAVIT_TRY(kernel::set_attributes(tree.get(), options.recursive_attributes, true));
  // Without an option of its own a mount is private to the container, as rslave of the host's.
  for (unsigned long flags : options.propagation) {
    kernel::MountAttributes propagation;
    propagation.propagation = flags & ~static_cast<unsigned long>(MS_REC);
    DAVIT_TRY(kernel::set_attributes(tree.get(), propagation, (flags & MS_REC) != 0));
  }
  DAVIT_ASSIGN(Fd at, destination(one.destination, "bind", S_ISDIR(st.st_mode)));
  return kernel::attach(tree.get(), at.get());
}

Result<> Rootfs::mount_filesystem(const Mount& one) {
  DAVIT_ASSIGN(MountOptions options, parse_mount_options(one.options));
  if (options.copy_up) return fail(ENOSYS, "mount option \"tmpcopyup\" is not supported yet");
  if (options.remount) {
    DAVIT_ASSIGN(Fd there, kernel::open_in_root(root_.get(), one.destination, O_PATH));
    return kernel::set_attributes(there.get(), options.attributes, false);
  }
  if (one.type.empty()) return fail(EINVAL, "no type, and not a bind mount");
  DAVIT_ASSIGN(Fd at, destination(one.destination, one.type.c_str(), true));
  std::vector<kernel::FsOption> data = options.data;
  if (!one.source.empty()) data.insert(data.begin(), {"source", one.source});
  bool has_mode = false;
  for (const auto& [key, value] : options.data) has_mode |= key == "mode";
  struct stat st;
  // A tmpfs takes the mode of what it covers, as runc gives it, unless told otherwise.
  if (one.type == "tmpfs" && !has_mode && ::fstat(at.get(), &st) == 0) {
    char mode[8];
    ::snprintf(mode, sizeof mode, "%o", st.st_mode & 07777);
    data.emplace_back("mode", mode);
  }
  DAVIT_ASSIGN(Fd tree, kernel::make_filesystem(one.type.c_str(), data, options.attributes.set));
  for (unsigned long flags : options.propagation) {
    kernel::MountAttributes propagation;
    propagation.propagation = flags & ~static_cast<unsigned long>(MS_REC);
    DAVIT_TRY(kernel::set_attributes(tree.get(), propagation, (flags & MS_REC) != 0));
  }
  return kernel::attach(tree.get(), at.get());
}

Result<> Rootfs::bind_console(int slave) {
  DAVIT_ASSIGN(Fd at, kernel::make_file_in_root(root_.get(), "/dev/console", 0600));
  DAVIT_ASSIGN(Fd tree, kernel::clone_tree(slave, "", false));
  return kernel::attach(tree.get(), at.get());
}

Result<> Rootfs::enter(const Spec& spec, bool pivot) {
  if (::fchdir(root_.get()) != 0) return fail_errno("enter the root \"" + path_ + '"');
  if (pivot) {
    // Both on one place: the old root ends up stacked below the new one, without a folder for it.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root");
    // The detached tree must not take the host's mounts with it.
    DAVIT_TRY(change_propagation(".", MS_SLAVE | MS_REC));
    if (::umount2(".", MNT_DETACH) != 0) return fail_errno("unmount the old root");
  } else {
    if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return fail_errno("move the root mount");
    if (::chroot(".") != 0) return fail_errno("chroot");
  }
  if (::chdir("/") != 0) return fail_errno("chdir \"/\"");
  DAVIT_ASSIGN(unsigned long propagation, propagation_of(spec.rootfs_propagation));
  if ((propagation & (MS_SHARED | MS_UNBINDABLE)) != 0) return change_propagation("/", propagation);
  return {};
}

}  // namespace davit::oci
