// /dev of the container, and the paths that are hidden from it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/oci/rootfs.h"

namespace davit::oci {
namespace {

// runtime-spec, "Default Devices"; console comes with a terminal, ptmx is a link.
std::vector<Device> default_devices() {
  return {
      {"/dev/null", 'c', 1, 3},   {"/dev/zero", 'c', 1, 5},    {"/dev/full", 'c', 1, 7},
      {"/dev/random", 'c', 1, 8}, {"/dev/urandom", 'c', 1, 9}, {"/dev/tty", 'c', 5, 0},
  };
}

mode_t type_bits(char type) {
  return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

// The folder that `path` lies in, made if need be, and the last part of the path.
Result<Fd> open_parent(int root, const std::string& path, std::string& name) {
  std::size_t slash = path.rfind('/');
  name = path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    return fail(EINVAL, "device path \"" + path + '"');
  return kernel::make_dir_in_root(root, path.substr(0, slash), 0755);
}

Result<> make_node(int root, const Device& device) {
  std::string name;
  DAVIT_ASSIGN(Fd parent, open_parent(root, device.path, name));
  dev_t number =
      ::makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  mode_t mode = type_bits(device.type) | device.mode;
  if (::mknodat(parent.get(), name.c_str(), mode, device.type == 'p' ? 0 : number) != 0) {
    if (errno != EEXIST) return fail_errno("mknod \"" + device.path + '"');
    // What the image has there stays if it is that very device, and gives way otherwise.
    struct stat st;
    if (::fstatat(parent.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("stat \"" + device.path + '"');
    bool same = (st.st_mode & S_IFMT) == type_bits(device.type) &&
                (device.type == 'p' || st.st_rdev == number);
    if (!same) {
      if (::unlinkat(parent.get(), name.c_str(), 0) != 0)
        return fail_errno("replace \"" + device.path + '"');
      if (::mknodat(parent.get(), name.c_str(), mode, device.type == 'p' ? 0 : number) != 0)
        return fail_errno("mknod \"" + device.path + '"');
    }
  }
  if (device.uid != 0 || device.gid != 0)
    if (::fchownat(parent.get(), name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("chown \"" + device.path + '"');
  return {};
}

// A user namespace may not make devices: the host's are bound there instead.
Result<> bind_node(int root, const Device& device) {
  DAVIT_ASSIGN(Fd at, kernel::make_file_in_root(root, device.path, 0666));
  DAVIT_ASSIGN(Fd tree, kernel::clone_tree(AT_FDCWD, device.path.c_str(), false));
  return kernel::attach(tree.get(), at.get());
}

struct Link {
  const char* target;
  const char* name;
};

Result<> make_links(int dev) {
  constexpr Link kLinks[] = {
      {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
      {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
  };
  for (const Link& link : kLinks) {
    if (::symlinkat(link.target, dev, link.name) == 0) continue;
    if (errno != EEXIST) return fail_errno(std::string("link \"/dev/") + link.name + '"');
    // An image may bring its own /dev: ptmx must be this container's all the same.
    if (std::string_view(link.name) != "ptmx") continue;
    if (::unlinkat(dev, link.name, 0) != 0 || ::symlinkat(link.target, dev, link.name) != 0)
      return fail_errno("link \"/dev/ptmx\"");
  }
  return {};
}

bool host_dev_is_bound(const Spec& spec) {
  for (const Mount& mount : spec.mounts)
    if (mount.destination == "/dev" || mount.destination == "/dev/")
      return mount.type == "bind" || mount.type.empty();
  return false;
}

}  // namespace

Result<> Rootfs::make_devices(const Spec& spec, const HostHandles&) {
  if (host_dev_is_bound(spec)) return {};
  bool user_namespace = spec.find_namespace(CLONE_NEWUSER) != nullptr;
  mode_t old = ::umask(0);
  auto made = [&]() -> Result<> {
    auto one = [&](const Device& device) {
      return user_namespace ? bind_node(root_.get(), device) : make_node(root_.get(), device);
    };
    for (const Device& device : default_devices()) DAVIT_TRY(one(device));
    for (const Device& device : spec.devices) DAVIT_TRY(one(device));
    DAVIT_ASSIGN(Fd dev, kernel::open_in_root(root_.get(), "/dev", O_PATH | O_DIRECTORY));
    return make_links(dev.get());
  }();
  ::umask(old);
  return made;
}

Result<> Rootfs::protect(const Spec& spec, const HostHandles& host) {
  Fd empty;
  for (const std::string& path : spec.masked_paths) {
    auto there = kernel::open_in_root(root_.get(), path, O_PATH);
    if (!there) {
      if (there.error().code == ENOENT || there.error().code == ENOTDIR) continue;
      return wrap("mask", there.error());
    }
    struct stat st;
    if (::fstat(there->get(), &st) != 0) return fail_errno("stat \"" + path + '"');
    Result<Fd> cover = fail(0, "");
    if (S_ISDIR(st.st_mode)) {
      // One empty read-only tmpfs serves them all.
      if (!empty) {
        DAVIT_ASSIGN(empty, kernel::make_filesystem(
                                "tmpfs", {{"source", "tmpfs"}, {"size", "0k"}, {"nr_inodes", "2"}},
                                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                    MOUNT_ATTR_NOEXEC));
        DAVIT_TRY(kernel::attach(empty.get(), there->get()));
        continue;
      }
      cover = kernel::clone_tree(empty.get(), "", false);
    } else {
      cover = kernel::clone_tree(host.null.get(), "", false);
    }
    if (!cover) return wrap("mask \"" + path + '"', cover.error());
    if (auto masked = kernel::attach(cover->get(), there->get()); !masked)
      return wrap("mask \"" + path + '"', masked.error());
  }
  kernel::MountAttributes read_only;
  read_only.set = MOUNT_ATTR_RDONLY;
  for (const std::string& path : spec.readonly_paths) {
    auto there = kernel::open_in_root(root_.get(), path, O_PATH);
    if (!there) {
      if (there.error().code == ENOENT || there.error().code == ENOTDIR) continue;
      return wrap("make read-only", there.error());
    }
    auto done = [&]() -> Result<> {
      DAVIT_ASSIGN(Fd tree, kernel::clone_tree(there->get(), "", true));
      DAVIT_TRY(kernel::set_attributes(tree.get(), read_only, true));
      return kernel::attach(tree.get(), there->get());
    }();
    if (!done) return wrap("make \"" + path + "\" read-only", done.error());
  }
  if (spec.root_readonly) return kernel::set_attributes(root_.get(), read_only, false);
  return {};
}

}  // namespace davit::oci
