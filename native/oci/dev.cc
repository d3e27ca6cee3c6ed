#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

std::vector<Device> default_devices() {
  return {
      {"/dev/null", 'c', 1, 3, 0666, 0, 0},    {"/dev/zero", 'c', 1, 5, 0666, 0, 0},
      {"/dev/full", 'c', 1, 7, 0666, 0, 0},    {"/dev/random", 'c', 1, 8, 0666, 0, 0},
      {"/dev/urandom", 'c', 1, 9, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
  };
}

const Mount* mount_at_dev(const Spec& spec) {
  for (const Mount& mount : spec.mounts)
    if (mount.destination == "/dev" || mount.destination == "/dev/") return &mount;
  return nullptr;
}

// A directory for nodes: made if need be, and never reached through a link, so that an image cannot
// have device nodes put on a volume of the host.
Result<Fd> open_node_dir(int root, const std::string& path) {
  auto found = kernel::open_in_root_nofollow(root, path, O_PATH | O_DIRECTORY);
  if (found || found.error().code != ENOENT) return found;
  DAVIT_TRY(kernel::make_dir_in_root(root, path, 0755));
  return kernel::open_in_root_nofollow(root, path, O_PATH | O_DIRECTORY);
}

Result<> bind_node(int dir, const std::string& name, const Device& device) {
  DAVIT_ASSIGN(Fd node, kernel::clone_tree(AT_FDCWD, device.path.c_str(), false));
  DAVIT_TRY(kernel::open_at(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0));
  DAVIT_ASSIGN(Fd place, kernel::open_at(dir, name.c_str(), O_PATH | O_NOFOLLOW));
  return kernel::attach(node.get(), place.get());
}

// `replaces`: what an image has there gives way.
Result<> make_node(const RootfsContext& context, int dir, const std::string& name,
                   const Device& device, bool replaces) {
  struct stat st;
  mode_t type = device.type == 'c' ? S_IFCHR : device.type == 'b' ? S_IFBLK : S_IFIFO;
  dev_t number = device.type == 'p' ? 0
                                    : makedev(static_cast<unsigned>(device.major),
                                              static_cast<unsigned>(device.minor));
  if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if ((st.st_mode & S_IFMT) == type && (type == S_IFIFO || st.st_rdev == number)) return {};
    if (!replaces) return fail(EEXIST, "another file is there");
    if (::unlinkat(dir, name.c_str(), 0) != 0) return fail_errno("replace");
  }
  if (context.user_namespace && device.type != 'p') return bind_node(dir, name, device);
  if (::mknodat(dir, name.c_str(), type | device.mode, number) != 0) {
    if (errno != EPERM) return fail_errno("make node");
    return bind_node(dir, name, device);
  }
  if ((device.uid != 0 || device.gid != 0) &&
      ::fchownat(dir, name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("change owner");
  return {};
}

Result<> make_devices(const RootfsContext& context, int dev, const std::vector<Device>& devices,
                      bool replaces) {
  for (const Device& device : devices) {
    std::size_t slash = device.path.rfind('/');
    std::string parent = slash == 0 ? "/" : device.path.substr(0, slash);
    std::string name = device.path.substr(slash + 1);
    Fd other;
    if (parent != "/dev") {
      auto dir = open_node_dir(context.sources.root.get(), parent);
      if (!dir) return wrap("device \"" + device.path + '"', std::move(dir).error());
      other = std::move(*dir);
    }
    if (auto made = make_node(context, other ? other.get() : dev, name, device, replaces); !made)
      return wrap("device \"" + device.path + '"', std::move(made).error());
  }
  return {};
}

Result<> make_links(int dev) {
  struct Link {
    const char *target, *name;
  };
  for (Link link : {Link{"/proc/self/fd", "fd"}, Link{"/proc/self/fd/0", "stdin"},
                    Link{"/proc/self/fd/1", "stdout"}, Link{"/proc/self/fd/2", "stderr"},
                    Link{"/proc/kcore", "core"}, Link{"pts/ptmx", "ptmx"}}) {
    if (link.name == std::string_view("core") && ::access("/proc/kcore", F_OK) != 0) continue;
    // A ptmx of the image would be the host's.
    if (link.name == std::string_view("ptmx")) (void)::unlinkat(dev, "ptmx", 0);
    if (::symlinkat(link.target, dev, link.name) != 0 && errno != EEXIST)
      return fail_errno(std::string("link \"/dev/") + link.name + '"');
  }
  return {};
}

}  // namespace

Result<> make_dev(const RootfsContext& context) {
  const Mount* mount = mount_at_dev(context.spec);
  MountOptions options;
  if (mount != nullptr) {
    DAVIT_ASSIGN(options, parse_mount_options(*mount));
    if (options.bind) return {};
  }
  auto dev = open_node_dir(context.sources.root.get(), "/dev");
  if (!dev) return wrap("\"/dev\" of the image", std::move(dev).error());
  DAVIT_TRY(make_devices(context, dev->get(), default_devices(), true));
  DAVIT_TRY(make_devices(context, dev->get(), context.spec.devices, false));
  DAVIT_TRY(make_links(dev->get()));
  if (options.read_only())
    DAVIT_TRY(kernel::set_attributes(dev->get(), {.set = MOUNT_ATTR_RDONLY}, false));
  return {};
}

Result<> mount_console(const Sources& sources, int slave) {
  DAVIT_ASSIGN(Fd dev, open_node_dir(sources.root.get(), "/dev"));
  struct stat st;
  if (::fstatat(dev.get(), "console", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
    (void)::unlinkat(dev.get(), "console", 0);
  Fd made(
      ::openat(dev.get(), "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) return fail_errno("create \"/dev/console\"");
  DAVIT_ASSIGN(Fd place, kernel::open_at(dev.get(), "console", O_PATH | O_NOFOLLOW));
  if (::fstat(place.get(), &st) != 0 || S_ISLNK(st.st_mode))
    return fail(ELOOP, "\"/dev/console\" is a link");
  DAVIT_ASSIGN(Fd console, kernel::clone_tree(slave, "", false));
  return kernel::attach(console.get(), place.get());
}

}  // namespace davit::oci
